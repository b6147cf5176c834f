/**
 * The conformance suite: what every driver promises, checked against it as a real process and a real device. Our own
 * drivers pass it in their tests, and `filesync plugins test` runs it on anybody's.
 *
 * @module
 */
export {
  describedFixture,
  DescriptionError,
  hasDirectory,
  parseDescription,
  TEST_FILE_NAME,
  type TestDescription,
} from "./described.ts";
export { directoryBackdoor } from "./directory_device.ts";
export { type Backdoor, type Fixture, ODD_NAMES, type TestDevice } from "./fixture.ts";
export { casesOf, type Check, type CheckGroup, faultChecksOf, harmlessChecksOf, readingChecksOf } from "./suite.ts";
