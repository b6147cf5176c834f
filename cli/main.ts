/**
 * The program's entry, and the only place that ends the process. Nothing is loaded before it is known what for: a
 * built-in driver is this program again, and pays for no command line.
 */
const DRIVERS: Record<string, () => Promise<{ main: () => Promise<void> }>> = {
  local: () => import("../plugins/local/main.ts"),
  disk: () => import("../plugins/disk/main.ts"),
  ftp: () => import("../plugins/ftp/main.ts"),
  webdav: () => import("../plugins/webdav/main.ts"),
  post: () => import("../plugins/post/main.ts"),
  mavftp: () => import("../plugins/mavftp/main.ts"),
};

const [first, second] = Deno.args;
if (first === "__plugin") {
  const load = Object.hasOwn(DRIVERS, second ?? "") ? DRIVERS[second!] : undefined;
  if (load === undefined) {
    console.error(`filesync: There is no built-in driver ${JSON.stringify(second ?? "")}`);
    Deno.exit(2);
  }
  if (Deno.build.standalone) (await import("../lib/host/give_up.ts")).giveUpPermissions(second!);
  const driver = await load();
  await driver.main();
} else if (first === "__complete") {
  const { completeAndEnd } = await import("./complete.ts");
  Deno.exit(await completeAndEnd(Deno.args.slice(1)));
} else {
  const { main } = await import("./app.ts");
  Deno.exit(await main(Deno.args, { exit: (code) => Deno.exit(code) }));
}
