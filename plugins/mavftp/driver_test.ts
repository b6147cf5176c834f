import { conformanceSuite, ODD_NAMES } from "../../tests/conformance/suite.ts";
import { startAutopilot, utf8Name } from "../../tests/support/autopilot/mod.ts";

const encoder = new TextEncoder();

// Both families passed it; one is enough each time, and transfer_test.ts flies them all under a clock of its own.
for (const personality of ["px4-main"] as const) {
  conformanceSuite(`mavftp on ${personality}`, {
    plugin: "mavftp",
    roles: ["source"],
    keepsTime: false,
    absentArgs: { url: "udp://127.0.0.1:59" },
    refused: [
      { args: {}, pointer: "/url" },
      { args: { url: "/dev/ttyACM0" }, pointer: "/url" },
      { args: { url: "serial://ttyACM0" }, pointer: "/url" },
      { args: { url: "serial:///dev/ttyACM0?baud=fast" }, pointer: "/url" },
      { args: { url: "udp://0.0.0.0" }, pointer: "/url" },
      { args: { url: "udp://0.0.0.0:14550", root: "../log" }, pointer: "/root" },
      { args: { url: "udp://0.0.0.0:14550", system_id: 0 }, pointer: "/system_id" },
      { args: { url: "udp://0.0.0.0:14550", own_system_id: 7, system_id: 7 }, pointer: "/own_system_id" },
      { args: { url: "udp://0.0.0.0:14550", settle_after_disarm: "soon" }, pointer: "/settle_after_disarm" },
      { args: { url: "udp://0.0.0.0:14550", rate: "fast" }, pointer: "/rate" },
      { args: { url: "udp://0.0.0.0:14550", baud: 1 }, pointer: "/baud" },
    ],
    // A record of a listing must fit into one packet.
    names: ODD_NAMES.filter((name) => encoder.encode(name).length < 180),
    async device() {
      const vehicle = await startAutopilot({
        personality,
        traits: { flowControl: true },
        traffic: { attitude: 0, position: 0 },
        transport: { kind: "udp-listen", port: 0 },
      });
      const { files } = vehicle;
      const root = vehicle.core.vehicle.traits.logRoot;
      const at = (path: string) => `${root}/${utf8Name(path)}`;
      const named = (path: string) =>
        path.startsWith(`${root}/`)
          ? new TextDecoder().decode(Uint8Array.from(path.slice(root.length + 1), (letter) => letter.charCodeAt(0)))
          : undefined;
      return {
        args: { url: vehicle.url, settle_after_disarm: 0 },
        put(path, bytes, modifiedMs = 0) {
          files.add(at(path), bytes, { modifiedS: Math.floor(modifiedMs / 1000) });
          return Promise.resolve();
        },
        read: (path) => Promise.resolve(files.file(at(path)) && files.bytes(at(path))),
        names: () => Promise.resolve(files.paths().map(named).filter((path) => path !== undefined).sort()),
        remove(path) {
          files.delete(at(path));
          return Promise.resolve();
        },
        breakIt: () => vehicle.unplug(),
        restore: () => vehicle.replug(),
        close: () => vehicle.stop(),
      };
    },
  });
}
