// The generated messages and services of the API.

export * from "./gen/google/rpc/error_details_pb.js";
export * from "./gen/google/rpc/status_pb.js";
export * from "./gen/jobstream/v1/admin_service_pb.js";
export * from "./gen/jobstream/v1/job_pb.js";
export * from "./gen/jobstream/v1/job_service_pb.js";
export * from "./gen/jobstream/v1/payload_pb.js";
export * from "./gen/jobstream/v1/worker_service_pb.js";
