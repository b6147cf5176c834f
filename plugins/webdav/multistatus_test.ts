import assert from "node:assert/strict";
import { BadMultistatus, MultistatusReader, type Resource } from "./multistatus.ts";
import { namesBelow, namesIn, urlOf } from "./paths.ts";

/** What is read of `text`, handed over in pieces of `step` characters. */
function read(text: string, step = text.length): Resource[] {
  const found: Resource[] = [];
  const reader = new MultistatusReader((resource) => void found.push(resource));
  for (let at = 0; at < text.length; at += step) reader.push(text.slice(at, at + step));
  reader.end();
  return found;
}

const refused = (text: string, words: RegExp, step?: number) =>
  assert.throws(() => read(text, step), (error) => error instanceof BadMultistatus && words.test(error.message));

// Apache 2.4.
const APACHE = `<?xml version="1.0" encoding="utf-8"?>
<D:multistatus xmlns:D="DAV:" xmlns:ns0="DAV:"><D:response xmlns:lp1="DAV:"><D:href>/dav/root/a%20b.ulg</D:href>
<D:propstat><D:prop><lp1:resourcetype/><lp1:getcontentlength>7</lp1:getcontentlength>
<lp1:getlastmodified>Wed, 25 Nov 2026 06:20:00 GMT</lp1:getlastmodified><lp1:getetag>W/"7-1"</lp1:getetag></D:prop>
<D:status>HTTP/1.1 200 OK</D:status></D:propstat><D:propstat><D:prop><oc:checksums xmlns:oc="http://owncloud.org/ns"/>
</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat></D:response></D:multistatus>`;

Deno.test("MultistatusReader reads Apache's answer in pieces of any length", () => {
  const wanted = [{
    href: "/dav/root/a%20b.ulg",
    status: 200,
    isFolder: false,
    sizeBytes: 7,
    modifiedMs: Date.UTC(2026, 10, 25, 6, 20),
    etag: 'W/"7-1"',
  }];
  for (const step of [1, 7, 64, APACHE.length]) assert.deepEqual(read(APACHE, step), wanted);
});

Deno.test("MultistatusReader takes mixed statuses, other prefixes, CDATA and the strongest checksum", () => {
  const found = read(`<multistatus xmlns="DAV:" xmlns:x="http://owncloud.org/ns">
    <response><href>/a</href><status>HTTP/1.1 403 Forbidden</status></response>
    <response><href><![CDATA[/b&c]]></href><propstat><prop><resourcetype><collection/></resourcetype></prop>
      <status>HTTP/1.1 200 OK</status></propstat></response>
    <response><href>/d</href><propstat><prop><getcontentlength>1</getcontentlength>
      <x:checksums><x:checksum>MD5:00000000000000000000000000000000 SHA1:${"A".repeat(40)}</x:checksum></x:checksums>
      </prop><status>HTTP/1.1 200 OK</status></propstat></response></multistatus>`);
  assert.deepEqual(found.map(({ href, status, isFolder }) => [href, status, isFolder]), [
    ["/a", 403, false],
    ["/b&c", 200, true],
    ["/d", 200, false],
  ]);
  assert.deepEqual(found[2]!.checksum, { algorithm: "sha1", value: "a".repeat(40) });
});

Deno.test("MultistatusReader refuses entity bombs, endless XML, pages and what broke off", () => {
  refused(
    `<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><multistatus xmlns="DAV:"><response><href>&b;`,
    /document type/,
  );
  refused(`<multistatus xmlns="DAV:"><response><href>&b;</href></response></multistatus>`, /no XML/);
  refused(`<multistatus xmlns="DAV:"><response><href>${"a".repeat(2 ** 20)}`, /endless|no XML/, 4096);
  refused(`<multistatus xmlns="DAV:">${"<x/>".repeat(2 ** 19)}</multistatus>`, /endless XML/, 4096);
  refused(`<multistatus xmlns="DAV:">${"<x>".repeat(100)}`, /nested/);
  refused(`<multistatus xmlns="DAV:"><a b="${"c".repeat(2 ** 20)}`, /endless|no XML/, 4096);
  refused("<html><body>Log in</body></html>", /"html"/);
  refused("Log in", /no XML/);
  refused("", /no multi-status/);
  refused(`<multistatus xmlns="http://elsewhere/"></multistatus>`, /multistatus/);
  for (let length = 60; length < APACHE.length; length += 97) refused(APACHE.slice(0, length), /broke off|no XML/);
});

Deno.test("namesIn() reads hrefs absolute or not, escaped in any way, with and without a slash at the end", () => {
  const wanted = ["dav", "root", "a b+ü.ulg"];
  for (
    const href of [
      "/dav/root/a%20b+%C3%BC.ulg",
      "/dav/root/a%20b%2b%c3%bc.ulg",
      "/dav/root/a b+ü.ulg",
      "https://cloud.example:8443/dav/root/a%20b+ü.ulg/",
      "  /dav//root/a%20b+%c3%bc.ulg?x=1#y\n",
    ]
  ) assert.deepEqual(namesIn(href), wanted, href);
  assert.deepEqual(namesIn("/dav/100%.ulg"), ["dav", "100%.ulg"]);
  assert.deepEqual(namesIn("/dav/a%2Fb"), ["dav", "a/b"]);
  assert.match(namesIn("/dav/%ff")[1]!, /\ufffd/);
  const root = new URL("https://cloud.example/dav/");
  for (const name of ["a b+ü.ulg", "100%.ulg", "#?&;", "(x)'!*", "…", "a\\b"]) {
    assert.deepEqual(namesIn(urlOf(root, name).href), ["dav", name]);
  }
});

Deno.test("namesBelow() knows what is elsewhere", () => {
  assert.deepEqual(namesBelow(["dav"], ["dav"]), []);
  assert.deepEqual(namesBelow(["dav"], ["dav", "a"]), ["a"]);
  assert.equal(namesBelow(["dav"], ["etc", "passwd"]), undefined);
  assert.equal(namesBelow(["dav", "root"], ["dav"]), undefined);
});
