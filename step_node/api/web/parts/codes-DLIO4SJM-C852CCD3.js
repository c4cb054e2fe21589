import{a,b,c}from"./chunk-UIP2E7TT.js";import"./first-C852CCD3.js";export{a as codes,c as notice,b as unknownCode};
