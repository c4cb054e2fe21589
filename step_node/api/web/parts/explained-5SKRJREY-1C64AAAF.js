import{a,b}from"./chunk-EGYR3LMS-1C64AAAF.js";import"./chunk-UJSH4JDW.js";import"./first-1C64AAAF.js";import"./first-1C64AAAF.js";import"./first-1C64AAAF.js";0;0;0;export{a as explained,b as metres};
