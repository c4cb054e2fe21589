// Placeholder of the offline part: see task "found".
declare const FILES: string[];
declare const VERSION: string;
self.addEventListener("install", () => console.debug(VERSION, FILES.length));
