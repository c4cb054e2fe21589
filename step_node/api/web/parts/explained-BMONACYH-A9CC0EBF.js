import{a,b}from"./chunk-ILS6E3H2-A9CC0EBF.js";import"./chunk-UIP2E7TT.js";import"./first-A9CC0EBF.js";import"./first-A9CC0EBF.js";import"./first-A9CC0EBF.js";export{a as explained,b as metres};
