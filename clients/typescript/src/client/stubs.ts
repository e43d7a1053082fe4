// The generated clients of the services.

import { type Client as Stub, type Transport, createClient } from "@connectrpc/connect";

import { AdminService } from "../gen/jobstream/v1/admin_service_pb.js";
import { JobService } from "../gen/jobstream/v1/job_service_pb.js";
import { WorkerService } from "../gen/jobstream/v1/worker_service_pb.js";

/** The generated stubs. Their calls are not retried and reject with the errors of @connectrpc/connect. */
export interface Stubs {
  readonly jobs: Stub<typeof JobService>;
  readonly admin: Stub<typeof AdminService>;
  readonly workers: Stub<typeof WorkerService>;
}

/** The stubs on a connection. Each is created when it is used. */
export function stubsOf(transport: Transport): Stubs {
  return {
    get jobs() {
      return createClient(JobService, transport);
    },
    get admin() {
      return createClient(AdminService, transport);
    },
    get workers() {
      return createClient(WorkerService, transport);
    },
  };
}
