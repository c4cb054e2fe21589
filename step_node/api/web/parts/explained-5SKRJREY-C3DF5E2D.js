import{a,b}from"./chunk-EGYR3LMS-C3DF5E2D.js";import"./chunk-UJSH4JDW.js";import"./first-C3DF5E2D.js";import"./first-C3DF5E2D.js";import"./first-C3DF5E2D.js";0;0;0;export{a as explained,b as metres};
