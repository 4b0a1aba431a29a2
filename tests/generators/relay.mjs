// Writes each document as a module of an application, as Relay reads it: one operation a module.
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
mkdirSync("relay/__generated__", { recursive: true });
for (const file of readdirSync("documents")) {
  const name = file.replace(".graphql", "");
  const text = readFileSync(`documents/${file}`, "utf8");
  writeFileSync(`relay/${name}.ts`, text.split("\n\n").map((operation) =>
    `graphql\`\n${operation}\n\`;\n`).join("\n"));
}
