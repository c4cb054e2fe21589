// Before anything is drawn: the frame in the person's language takes the place of the English one.
import { chosen } from "./language.ts";

const language = chosen();
document.documentElement.lang = language;
const still = document.getElementById(`still-${language}`);
if (still instanceof HTMLTemplateElement) document.getElementById("app")!.replaceChildren(still.content);
