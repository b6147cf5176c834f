/**
 * The plugins that come with the program: their manifests, and where their code is when run from source. The code
 * itself is never imported here: a driver lives in a process of its own.
 */
import disk from "../../plugins/disk/filesync-plugin.json" with { type: "json" };
import ftp from "../../plugins/ftp/filesync-plugin.json" with { type: "json" };
import local from "../../plugins/local/filesync-plugin.json" with { type: "json" };
import mavftp from "../../plugins/mavftp/filesync-plugin.json" with { type: "json" };
import post from "../../plugins/post/filesync-plugin.json" with { type: "json" };
import webdav from "../../plugins/webdav/filesync-plugin.json" with { type: "json" };

/** The root of the source tree. */
export const SOURCE_ROOT = new URL("../../", import.meta.url);

/** Manifests of the built-in set, in the order of a listing. */
export const BUILT_IN_MANIFESTS: readonly unknown[] = [local, disk, ftp, webdav, post, mavftp];
