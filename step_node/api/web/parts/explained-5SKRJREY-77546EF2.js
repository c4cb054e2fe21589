import{a,b}from"./chunk-EGYR3LMS-77546EF2.js";import"./chunk-UJSH4JDW.js";import"./first-77546EF2.js";import"./first-77546EF2.js";import"./first-77546EF2.js";0;0;0;export{a as explained,b as metres};
