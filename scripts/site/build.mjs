// Makes the folder that the server embeds, target/site: the browser's module, its style and the files of public/, each
// as small as it gets, and compressed beforehand as the server hands them out.
//
//   node build.mjs MODULE SITE PACKAGES     the module as cargo made it, the folder to fill, and where npm put packages
//
// Runs wasm-bindgen and wasm-opt, which scripts/common.sh has put on PATH.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const [module, site, packages] = process.argv.slice(2);
if (!packages) throw new Error("usage: node build.mjs MODULE SITE PACKAGES");
const require = createRequire(join(packages, "package.json"));
const browserslist = require("browserslist");
const esbuild = require("esbuild");
const lightningcss = require("lightningcss");

/** Leptos' own name of module and style: LEPTOS_OUTPUT_NAME. */
const name = "atomfeed-console";
const out = join(site, "pkg");
mkdirSync(out, { recursive: true });
cpSync("public", site, { recursive: true });

execFileSync("wasm-bindgen", ["--target", "web", "--no-typescript", "--out-dir", out, "--out-name", name, module], { stdio: "inherit" });
// wasm-bindgen calls it NAME_bg.wasm, and Leptos asks for NAME.wasm.
const bound = join(out, `${name}_bg.wasm`);
execFileSync("wasm-opt", ["-Oz", bound, "-o", join(out, `${name}.wasm`)], { stdio: "inherit" });
rmSync(bound);

const script = join(out, `${name}.js`);
writeFileSync(script, esbuild.transformSync(readFileSync(script, "utf8"), { format: "esm", minify: true }).code);

const targets = lightningcss.browserslistToTargets(browserslist("defaults"));
const style = lightningcss.bundle({ filename: "style/main.css", minify: true, targets });
for (const warning of style.warnings) console.error(`style/main.css: ${warning.message}`);
writeFileSync(join(out, `${name}.css`), style.code);

for (const file of readdirSync(site, { recursive: true, withFileTypes: true })) {
  if (!file.isFile()) continue;
  const path = join(file.parentPath, file.name);
  const content = readFileSync(path);
  writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
  const params = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  writeFileSync(`${path}.br`, brotliCompressSync(content, { params }));
}
