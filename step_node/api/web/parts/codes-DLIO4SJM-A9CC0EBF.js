import{a,b,c}from"./chunk-UIP2E7TT.js";import"./first-A9CC0EBF.js";export{a as codes,c as notice,b as unknownCode};
