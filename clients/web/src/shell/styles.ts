// The styles of all pages but the first, and of what is shown on it later.
let loaded: Promise<void> | undefined;

/** Once they hold. Rejects with a TypeError, as for a part of the app that cannot be had; then they are asked for again. */
export function pageStyles(): Promise<void> {
  loaded ??= new Promise<void>((resolve, reject) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = document.getElementById("app")!.dataset["styles"]!;
    sheet.onload = () => resolve();
    sheet.onerror = () => {
      sheet.remove();
      loaded = undefined;
      reject(new TypeError(`${sheet.href} cannot be loaded`));
    };
    document.head.append(sheet);
  });
  return loaded;
}

/** For what is loaded with these styles: both at once. */
export function withStyles<Module>(load: () => Promise<Module>): () => Promise<Module> {
  return () => Promise.all([load(), pageStyles()]).then(([module]) => module);
}
