/** What is used of `sax`: the package brings no types, and those of others bring all of Node's along. */

/** An element with its namespace resolved. */
export interface QualifiedTag {
  local: string;
  uri: string;
}

interface Parser {
  onopentag: (tag: QualifiedTag) => void;
  onclosetag: () => void;
  ontext: (text: string) => void;
  oncdata: (text: string) => void;
  ondoctype: () => void;
  onerror: (error: Error) => void;
  write(text: string): Parser;
  close(): Parser;
}

declare const sax: { parser(strict: boolean, options: { xmlns: boolean }): Parser };
export default sax;
