import{a,b}from"./chunk-EGYR3LMS-B87C3E8A.js";import"./chunk-UJSH4JDW.js";import"./first-B87C3E8A.js";import"./first-B87C3E8A.js";import"./first-B87C3E8A.js";0;0;0;export{a as explained,b as metres};
