import{a,b}from"./chunk-E4YAYSVS-D40ECB69.js";import"./chunk-UIP2E7TT.js";import"./first-D40ECB69.js";import"./first-D40ECB69.js";import"./first-D40ECB69.js";0;0;0;export{a as explained,b as metres};
