import{a,b}from"./chunk-EGYR3LMS-6176F2D9.js";import"./chunk-UJSH4JDW.js";import"./first-6176F2D9.js";import"./first-6176F2D9.js";import"./first-6176F2D9.js";0;0;0;export{a as explained,b as metres};
