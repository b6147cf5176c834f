import { conformanceSuite } from "../../tests/conformance/suite.ts";
import { FlightReview } from "../../tests/support/flight_review.ts";
import { fileName } from "./form.ts";

conformanceSuite("post", {
  plugin: "post",
  roles: ["target"],
  keepsTime: false,
  nameOf: fileName,
  absentArgs: { uploader_url: "https://form.invalid/upload" },
  refused: [
    { args: {}, pointer: "/uploader_url" },
    { args: { uploader_url: "logs.px4.io" }, pointer: "/uploader_url" },
    { args: { uploader_url: "ftp://logs.px4.io/" }, pointer: "/uploader_url" },
    { args: { uploader_url: "https://user:secret@logs.px4.io/" }, pointer: "/uploader_url" },
    { args: { uploader_url: "https://a/", values: { a: [] } }, pointer: "/values/a" },
    { args: { uploader_url: "https://a/", headers: { "a\r\nb": "c" } }, pointer: "/headers/a\r\nb" },
    { args: { uploader_url: "https://a/", headers: { "Content-Length": "0" } }, pointer: "/headers/Content-Length" },
    { args: { uploader_url: "https://a/", field: 'a"b' }, pointer: "/field" },
    { args: { uploader_url: "https://a/", max_size: "much" }, pointer: "/max_size" },
    { args: { uploader_url: "http://a/", ca: "/etc/hostname" }, pointer: "/ca" },
    { args: { uploader_url: "https://a/", preset: "px5" }, pointer: "/preset" },
  ],
  async device() {
    let server = await FlightReview.start({ takesAnything: true });
    const { port, url, logs } = server;
    return {
      args: { uploader_url: url, values: { description: "", email: "" }, success: { redirect: true } },
      put: () => Promise.reject(new Error("A form shows no files")),
      read: (path) => Promise.resolve(logs.find((log) => log.fileName === fileName(path))?.bytes),
      names: () => Promise.resolve(logs.map((log) => log.fileName).sort()),
      remove: () => Promise.reject(new Error("A form removes no files")),
      breakIt: () => server.stop(),
      async restore() {
        server = await FlightReview.start({ takesAnything: true }, port);
        server.logs.push = (...items) => logs.push(...items);
      },
      close: () => server.stop(),
    };
  },
});
