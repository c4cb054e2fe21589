import{a,b}from"./chunk-EGYR3LMS-6098EC48.js";import"./chunk-UJSH4JDW.js";import"./first-6098EC48.js";import"./first-6098EC48.js";import"./first-6098EC48.js";0;0;0;export{a as explained,b as metres};
