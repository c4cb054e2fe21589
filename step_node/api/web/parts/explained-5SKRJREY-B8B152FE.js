import{a,b}from"./chunk-EGYR3LMS-B8B152FE.js";import"./chunk-UJSH4JDW.js";import"./first-B8B152FE.js";import"./first-B8B152FE.js";import"./first-B8B152FE.js";0;0;0;export{a as explained,b as metres};
