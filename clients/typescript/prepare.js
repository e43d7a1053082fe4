// Builds dist. `npm install FOLDER` runs this in a folder without its development dependencies: `npm ci` installs them and
// runs this again.

import { execSync } from "node:child_process";
import { existsSync } from "node:fs";

const isInstalled = existsSync("node_modules/typescript");
const command = isInstalled ? "npm run build" : "npm ci --include=dev --no-audit --no-fund";
execSync(command, { stdio: "inherit" });
