import{a,b,c}from"./chunk-UIP2E7TT.js";import"./first-98A8D457.js";export{a as codes,c as notice,b as unknownCode};
