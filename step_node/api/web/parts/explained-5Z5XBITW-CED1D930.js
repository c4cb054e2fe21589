import{a,b}from"./chunk-4LXLOKIK-CED1D930.js";import"./first-CED1D930.js";import"./first-CED1D930.js";import"./first-CED1D930.js";0;0;import"./chunk-UIP2E7TT.js";0;export{a as explained,b as metres};
