import{a,b}from"./chunk-EGYR3LMS-6D3A4F4F.js";import"./chunk-UJSH4JDW.js";import"./first-6D3A4F4F.js";import"./first-6D3A4F4F.js";import"./first-6D3A4F4F.js";0;0;0;export{a as explained,b as metres};
