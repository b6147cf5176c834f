/** Errors of a plugin as the engine and people get them. */
import { DriverError, type ErrorCode } from "../driver/mod.ts";
import { BadAnswer } from "../protocol/connection.ts";
import { AnswerError } from "./check_answers.ts";
import { MethodMissing } from "../protocol/messages.ts";
import type { Words } from "./words.ts";

/** Longest `retryAfterMs` of a plugin that is believed, milliseconds. */
const RETRY_AFTER_MS_MAX = 24 * 60 * 60 * 1000;

export interface ShownErrorOptions {
  pluginName: string;
  method: string;
  words: Words;
  /** The code of an answer that breaks the contract. @default {"failed"} */
  badAnswer?: ErrorCode;
}

/** The error with its words tidied and without secrets; what is neither a driver's nor an answer's fault is left alone. */
export function shownError(error: unknown, options: ShownErrorOptions): unknown {
  const { pluginName, method, words, badAnswer = "failed" } = options;
  if (error instanceof AnswerError || error instanceof BadAnswer) {
    const message = `Plugin "${pluginName}" breaks the contract in "${method}": it ${error.message}`;
    return new DriverError(badAnswer, message, { hint: "Report this to the plugin's author", cause: error });
  }
  if (!(error instanceof DriverError)) return error;
  if (error.cause instanceof MethodMissing) {
    return new DriverError("unsupported", `Plugin "${pluginName}" has no method "${method}"`, {
      hint: `Use another driver, or ask the author of "${pluginName}"`,
    });
  }
  const { hint, retryAfterMs, ...details } = error.details;
  return new DriverError(error.code, words(error.message) || `"${method}" failed without a word`, {
    ...details,
    ...(hint === undefined ? {} : { hint: words(hint) }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.min(retryAfterMs, RETRY_AFTER_MS_MAX) }),
    ...(error.cause === undefined ? {} : { cause: error.cause }),
  });
}
