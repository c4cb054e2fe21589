import{a,b,c}from"./chunk-UJSH4JDW.js";0;export{a as codes,c as notice,b as unknownCode};
