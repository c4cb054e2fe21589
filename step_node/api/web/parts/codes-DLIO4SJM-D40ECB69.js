import{a,b,c}from"./chunk-UIP2E7TT.js";0;export{a as codes,c as notice,b as unknownCode};
