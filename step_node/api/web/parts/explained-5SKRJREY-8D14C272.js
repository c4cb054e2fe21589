import{a,b}from"./chunk-EGYR3LMS-8D14C272.js";import"./chunk-UJSH4JDW.js";import"./first-8D14C272.js";import"./first-8D14C272.js";import"./first-8D14C272.js";0;0;0;export{a as explained,b as metres};
