/** The HTTP interface as an OpenAPI 3.1 document, made of the routes and their schemas. */
import { z } from "zod";
import { errorSchema } from "./schemas.ts";

/** What is told of one route. */
export interface RouteDocs {
  method: "GET" | "POST";
  path: string;
  summary: string;
  query?: z.ZodObject;
  body?: z.ZodType;
  /** The answer: JSON of a schema, or another type. */
  answer: z.ZodType | string;
  /** Everyone is served, also without the token. */
  isOpen?: boolean;
}

/** The document. */
export function openApiOf(routes: readonly RouteDocs[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "FileSync",
      version,
      description: "The page's own interface: what `filesync status --json` and `sync --json` tell, over HTTP",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        cookie: { type: "apiKey", in: "cookie", name: "filesync_token" },
      },
    },
  };
}

function operationOf({ path, summary, query, body, answer, isOpen }: RouteDocs): object {
  const shape = query === undefined ? undefined : schemaOf(query, "input");
  const required = (shape?.["required"] ?? []) as string[];
  return {
    operationId: path.replace(/^\/(api\/)?/, "").replaceAll(/[/.{}]+/g, "_"),
    summary,
    ...(isOpen === true ? { security: [] } : { security: [{ bearer: [] }, { cookie: [] }, {}] }),
    ...(shape === undefined ? {} : {
      parameters: Object.entries(shape["properties"] as Record<string, { description?: string }>).map(
        ([name, { description, ...schema }]) => ({
          name,
          in: "query",
          required: required.includes(name),
          ...(description === undefined ? {} : { description }),
          schema,
        }),
      ),
    }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: schemaOf(body, "input") } } } }),
    responses: {
      200: {
        description: summary,
        content: typeof answer === "string"
          ? { [answer]: { schema: { type: "string" } } }
          : { "application/json": { schema: schemaOf(answer, "output") } },
      },
      default: {
        description: "What went wrong",
        content: { "application/json": { schema: schemaOf(errorSchema, "output") } },
      },
    },
  };
}

function schemaOf(schema: z.ZodType, io: "input" | "output"): Record<string, unknown> {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io }) as Record<string, unknown>;
  return rest;
}
