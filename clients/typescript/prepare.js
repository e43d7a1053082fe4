// Builds dist. `npm install FOLDER` runs this in a folder without its development dependencies: `npm ci` installs them and
// runs this again. npm runs it for every later install in the project too, so a build that is new enough is kept.

import { execSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const isInstalled = existsSync("node_modules/typescript");
if (!isInstalled) {
  execSync("npm ci --include=dev --no-audit --no-fund", { stdio: "inherit" });
} else if (!isBuilt()) {
  execSync("npm run build", { stdio: "inherit" });
}

/** Whether dist is newer than everything that it is built from. */
function isBuilt() {
  const sources = readdirSync("src", { recursive: true }).map((path) => join("src", path));
  const inputs = [...sources, "package-lock.json", "tsconfig.build.json"];
  const built = statSync("dist/index.js", { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return inputs.every((path) => statSync(path).mtimeMs < built);
}
