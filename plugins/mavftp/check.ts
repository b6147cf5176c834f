/** What `filesync doctor` can find out about a vehicle without moving a log. */
import { type Call, DriverError, type Finding } from "../../lib/driver/mod.ts";
import { type Connection, type ConnectionContext, familyOf } from "./connection.ts";

/** Looks, in the order in which things can be missing. */
export async function check(
  context: ConnectionContext,
  use: (work: (connection: Connection) => Promise<void>) => Promise<void>,
  call: Call,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  let step = "link";
  try {
    await use(async (connection) => {
      const { station } = connection;
      findings.push({ name: "link", ok: true, detail: connection.name });
      step = "vehicle";
      await connection.ready(call);
      const { vehicle, version } = station;
      findings.push({
        name: "vehicle",
        ok: true,
        detail: `${familyOf(vehicle?.autopilot)}, system ${vehicle?.systemId}, ${
          version?.uid ?? "without a UID"
        }, disarmed`,
        ...(version?.uid === undefined
          ? { remedy: "Files are told apart by the device's name: do not swap autopilots under it" }
          : {}),
      });
      const others = [...station.systems].filter((id) => id !== vehicle?.systemId);
      if (others.length > 0 && context.config.systemId === undefined) {
        findings.push({
          name: "other vehicles",
          ok: true,
          detail: `Systems ${others.join(", ")} are on this link too`,
          remedy: `Set "system_id" to ${vehicle?.systemId}, so that it is always this one`,
        });
      }
      step = "file transfer";
      const root = await connection.lookAtRoot(call.signal);
      findings.push({ name: "file transfer", ok: true, detail: `logs are in "${root}"` });
      findings.push({
        name: "times",
        ok: true,
        detail: connection.directories.hasTimes === true
          ? "told by the autopilot"
          : "not told by this firmware: a log is known by its name and size",
      });
      if (station.hasRadio) {
        findings.push({
          name: "radio",
          ok: true,
          detail: "a telemetry radio is on the link: small reads instead of bursts",
          ...(context.config.rate === undefined ? { remedy: 'Set "rate" if the radio carries more than this' } : {}),
        });
      }
    });
  } catch (error) {
    if (!(error instanceof DriverError)) throw error;
    findings.push(failure(step, error));
  }
  return findings;
}

function failure(name: string, { code, message, details }: DriverError): Finding {
  return {
    name,
    ok: false,
    detail: message,
    code,
    remedy: details.hint ?? "Check cable and power, and that MAVLink is switched on at the autopilot's port",
  };
}
