/** The drivers that `filesync plugins new` begins with: the examples, whole, so that the program alone has them too. */
import pythonManifest from "../plugins/examples/folder/filesync-plugin.json" with { type: "json" };
import pythonTest from "../plugins/examples/folder/filesync-test.json" with { type: "json" };
import pythonSource from "../plugins/examples/folder/folder.py" with { type: "text" };
import shManifest from "../plugins/examples/folder-sh/filesync-plugin.json" with { type: "json" };
import shTest from "../plugins/examples/folder-sh/filesync-test.json" with { type: "json" };
import shSource from "../plugins/examples/folder-sh/folder.sh" with { type: "text" };
import tsManifest from "../plugins/examples/folder-ts/filesync-plugin.json" with { type: "json" };
import tsTest from "../plugins/examples/folder-ts/filesync-test.json" with { type: "json" };
import tsSource from "../plugins/examples/folder-ts/folder.ts" with { type: "text" };

/** Languages that there is a beginning in. */
export type Language = "python" | "ts" | "sh";

/** One beginning. */
interface Template {
  extension: string;
  source: string;
  /** The line of the source that holds the driver's name. */
  named: string;
  manifest: { name: string; description: string };
  test: object;
  /** What the machine must have to run it. */
  needs: string;
}

export const TEMPLATES: Record<Language, Template> = {
  python: {
    extension: "py",
    source: pythonSource,
    named: '"name": "folder"',
    manifest: pythonManifest,
    test: pythonTest,
    needs: "Python 3.11 or later",
  },
  ts: {
    extension: "ts",
    source: tsSource,
    named: 'const NAME = "folder-ts"',
    manifest: tsManifest,
    test: tsTest,
    needs: "Deno 2",
  },
  sh: {
    extension: "sh",
    source: shSource,
    named: "NAME=folder-sh",
    manifest: shManifest,
    test: shTest,
    needs: "bash, jq and GNU's find",
  },
};

/** A file of a new driver. */
export interface NewFile {
  name: string;
  text: string;
  isProgram: boolean;
}

/** The files of a new driver. */
export function filesOf(language: Language, name: string): NewFile[] {
  const { extension, source, named, manifest, test, needs } = TEMPLATES[language];
  const program = `${name}.${extension}`;
  const json = (value: object) => JSON.stringify(value, undefined, 2) + "\n";
  const { description } = manifest;
  return [
    {
      name: "filesync-plugin.json",
      text: json({ ...manifest, name, version: "0.1.0", description, command: [`./${program}`] }),
      isProgram: false,
    },
    { name: program, text: source.replace(named, () => named.replace(manifest.name, name)), isProgram: true },
    { name: "filesync-test.json", text: json(test), isProgram: false },
    { name: "README.md", text: readmeOf(name, program, needs), isProgram: false },
  ];
}

function readmeOf(name: string, program: string, needs: string): string {
  return `# ${name}

A FileSync driver. It needs ${needs}.

- \`${program}\` is the driver. It works as it is, with a directory of this machine as the device: change what it does.
- \`filesync-plugin.json\` says what it is called, which arguments it takes, and what it may do.
- \`filesync-test.json\` says how it is tested.

\`\`\`sh
filesync plugins test .        # after each change
filesync plugins info .        # what FileSync makes of the manifest
\`\`\`

To use it, move this folder into \`~/.local/share/filesync/plugins/\`, or name the folder above it in \`plugins.dirs\` of
the configuration; then a device says \`"driver": "${name}"\`.
`;
}
