package io.github.jobstream.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * WorkerService is for workers: processes that run attempts of jobs, anywhere, in any language.
 * A worker holds one Work stream for each set of kinds with common slots; a worker that cannot hold a stream calls
 * Lease and Report. The same scheduler serves both, and the server's own pool, by the same rules: an attempt needs a
 * lease, only the newest lease of a job changes it, and a report under any other is refused with LEASE_LOST and changes
 * nothing.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class WorkerServiceGrpc {

  private WorkerServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "jobstream.v1.WorkerService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.WorkRequest,
      io.github.jobstream.v1.WorkResponse> getWorkMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Work",
      requestType = io.github.jobstream.v1.WorkRequest.class,
      responseType = io.github.jobstream.v1.WorkResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.WorkRequest,
      io.github.jobstream.v1.WorkResponse> getWorkMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.WorkRequest, io.github.jobstream.v1.WorkResponse> getWorkMethod;
    if ((getWorkMethod = WorkerServiceGrpc.getWorkMethod) == null) {
      synchronized (WorkerServiceGrpc.class) {
        if ((getWorkMethod = WorkerServiceGrpc.getWorkMethod) == null) {
          WorkerServiceGrpc.getWorkMethod = getWorkMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.WorkRequest, io.github.jobstream.v1.WorkResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Work"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WorkRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WorkResponse.getDefaultInstance()))
              .setSchemaDescriptor(new WorkerServiceMethodDescriptorSupplier("Work"))
              .build();
        }
      }
    }
    return getWorkMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.LeaseRequest,
      io.github.jobstream.v1.LeaseResponse> getLeaseMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Lease",
      requestType = io.github.jobstream.v1.LeaseRequest.class,
      responseType = io.github.jobstream.v1.LeaseResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.LeaseRequest,
      io.github.jobstream.v1.LeaseResponse> getLeaseMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.LeaseRequest, io.github.jobstream.v1.LeaseResponse> getLeaseMethod;
    if ((getLeaseMethod = WorkerServiceGrpc.getLeaseMethod) == null) {
      synchronized (WorkerServiceGrpc.class) {
        if ((getLeaseMethod = WorkerServiceGrpc.getLeaseMethod) == null) {
          WorkerServiceGrpc.getLeaseMethod = getLeaseMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.LeaseRequest, io.github.jobstream.v1.LeaseResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Lease"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.LeaseRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.LeaseResponse.getDefaultInstance()))
              .setSchemaDescriptor(new WorkerServiceMethodDescriptorSupplier("Lease"))
              .build();
        }
      }
    }
    return getLeaseMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.ReportRequest,
      io.github.jobstream.v1.ReportResponse> getReportMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Report",
      requestType = io.github.jobstream.v1.ReportRequest.class,
      responseType = io.github.jobstream.v1.ReportResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.ReportRequest,
      io.github.jobstream.v1.ReportResponse> getReportMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.ReportRequest, io.github.jobstream.v1.ReportResponse> getReportMethod;
    if ((getReportMethod = WorkerServiceGrpc.getReportMethod) == null) {
      synchronized (WorkerServiceGrpc.class) {
        if ((getReportMethod = WorkerServiceGrpc.getReportMethod) == null) {
          WorkerServiceGrpc.getReportMethod = getReportMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.ReportRequest, io.github.jobstream.v1.ReportResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Report"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ReportRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ReportResponse.getDefaultInstance()))
              .setSchemaDescriptor(new WorkerServiceMethodDescriptorSupplier("Report"))
              .build();
        }
      }
    }
    return getReportMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static WorkerServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<WorkerServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<WorkerServiceStub>() {
        @java.lang.Override
        public WorkerServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new WorkerServiceStub(channel, callOptions);
        }
      };
    return WorkerServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static WorkerServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<WorkerServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<WorkerServiceBlockingV2Stub>() {
        @java.lang.Override
        public WorkerServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new WorkerServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return WorkerServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static WorkerServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<WorkerServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<WorkerServiceBlockingStub>() {
        @java.lang.Override
        public WorkerServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new WorkerServiceBlockingStub(channel, callOptions);
        }
      };
    return WorkerServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static WorkerServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<WorkerServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<WorkerServiceFutureStub>() {
        @java.lang.Override
        public WorkerServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new WorkerServiceFutureStub(channel, callOptions);
        }
      };
    return WorkerServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * WorkerService is for workers: processes that run attempts of jobs, anywhere, in any language.
   * A worker holds one Work stream for each set of kinds with common slots; a worker that cannot hold a stream calls
   * Lease and Report. The same scheduler serves both, and the server's own pool, by the same rules: an attempt needs a
   * lease, only the newest lease of a job changes it, and a report under any other is refused with LEASE_LOST and changes
   * nothing.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Work connects a worker while the stream is open: the server sends assignments and cancels, the worker reports.
     * The first request must carry `hello`, the first response carries `welcome`. Liveness is checked on the stream
     * itself: the server pings, the worker answers each ping with a heartbeat, and each side closes a stream on which it
     * received nothing for three ping intervals. A broken stream does not end the leases: a worker that reconnects in
     * time, with the same instance_id, keeps its attempts.
     * The stream ends OK after the worker closed its side. Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED
     * (WORKER_REPLACED) when the same instance connected again, DEADLINE_EXCEEDED (WORKER_SILENT) after three silent
     * intervals, RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING, CONNECTION_CLOSING).
     * </pre>
     */
    default io.grpc.stub.StreamObserver<io.github.jobstream.v1.WorkRequest> work(
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WorkResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getWorkMethod(), responseObserver);
    }

    /**
     * <pre>
     * Lease assigns jobs to a worker without a stream, and waits for the first one. Each job is RUNNING when the call
     * returns, and its attempt is lost once `lease` passed without a Report that names its lease. With a `request_id` it
     * is safe to repeat: a lost response loses no job.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED (WORKER_REPLACED) when a repeat of a waiting call took its place,
     * RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING).
     * </pre>
     */
    default void lease(io.github.jobstream.v1.LeaseRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.LeaseResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getLeaseMethod(), responseObserver);
    }

    /**
     * <pre>
     * Report renews leases, and reports and ends attempts that were assigned by Lease. It is safe to repeat: a complete,
     * fail or release that had arrived is then refused with LEASE_LOST.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD). The response has a status for each report.
     * </pre>
     */
    default void report(io.github.jobstream.v1.ReportRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ReportResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getReportMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service WorkerService.
   * <pre>
   * WorkerService is for workers: processes that run attempts of jobs, anywhere, in any language.
   * A worker holds one Work stream for each set of kinds with common slots; a worker that cannot hold a stream calls
   * Lease and Report. The same scheduler serves both, and the server's own pool, by the same rules: an attempt needs a
   * lease, only the newest lease of a job changes it, and a report under any other is refused with LEASE_LOST and changes
   * nothing.
   * </pre>
   */
  public static abstract class WorkerServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return WorkerServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service WorkerService.
   * <pre>
   * WorkerService is for workers: processes that run attempts of jobs, anywhere, in any language.
   * A worker holds one Work stream for each set of kinds with common slots; a worker that cannot hold a stream calls
   * Lease and Report. The same scheduler serves both, and the server's own pool, by the same rules: an attempt needs a
   * lease, only the newest lease of a job changes it, and a report under any other is refused with LEASE_LOST and changes
   * nothing.
   * </pre>
   */
  public static final class WorkerServiceStub
      extends io.grpc.stub.AbstractAsyncStub<WorkerServiceStub> {
    private WorkerServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected WorkerServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new WorkerServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Work connects a worker while the stream is open: the server sends assignments and cancels, the worker reports.
     * The first request must carry `hello`, the first response carries `welcome`. Liveness is checked on the stream
     * itself: the server pings, the worker answers each ping with a heartbeat, and each side closes a stream on which it
     * received nothing for three ping intervals. A broken stream does not end the leases: a worker that reconnects in
     * time, with the same instance_id, keeps its attempts.
     * The stream ends OK after the worker closed its side. Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED
     * (WORKER_REPLACED) when the same instance connected again, DEADLINE_EXCEEDED (WORKER_SILENT) after three silent
     * intervals, RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING, CONNECTION_CLOSING).
     * </pre>
     */
    public io.grpc.stub.StreamObserver<io.github.jobstream.v1.WorkRequest> work(
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WorkResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getWorkMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Lease assigns jobs to a worker without a stream, and waits for the first one. Each job is RUNNING when the call
     * returns, and its attempt is lost once `lease` passed without a Report that names its lease. With a `request_id` it
     * is safe to repeat: a lost response loses no job.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED (WORKER_REPLACED) when a repeat of a waiting call took its place,
     * RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING).
     * </pre>
     */
    public void lease(io.github.jobstream.v1.LeaseRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.LeaseResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getLeaseMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Report renews leases, and reports and ends attempts that were assigned by Lease. It is safe to repeat: a complete,
     * fail or release that had arrived is then refused with LEASE_LOST.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD). The response has a status for each report.
     * </pre>
     */
    public void report(io.github.jobstream.v1.ReportRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ReportResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getReportMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service WorkerService.
   * <pre>
   * WorkerService is for workers: processes that run attempts of jobs, anywhere, in any language.
   * A worker holds one Work stream for each set of kinds with common slots; a worker that cannot hold a stream calls
   * Lease and Report. The same scheduler serves both, and the server's own pool, by the same rules: an attempt needs a
   * lease, only the newest lease of a job changes it, and a report under any other is refused with LEASE_LOST and changes
   * nothing.
   * </pre>
   */
  public static final class WorkerServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<WorkerServiceBlockingV2Stub> {
    private WorkerServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected WorkerServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new WorkerServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Work connects a worker while the stream is open: the server sends assignments and cancels, the worker reports.
     * The first request must carry `hello`, the first response carries `welcome`. Liveness is checked on the stream
     * itself: the server pings, the worker answers each ping with a heartbeat, and each side closes a stream on which it
     * received nothing for three ping intervals. A broken stream does not end the leases: a worker that reconnects in
     * time, with the same instance_id, keeps its attempts.
     * The stream ends OK after the worker closed its side. Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED
     * (WORKER_REPLACED) when the same instance connected again, DEADLINE_EXCEEDED (WORKER_SILENT) after three silent
     * intervals, RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING, CONNECTION_CLOSING).
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<io.github.jobstream.v1.WorkRequest, io.github.jobstream.v1.WorkResponse>
        work() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getWorkMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Lease assigns jobs to a worker without a stream, and waits for the first one. Each job is RUNNING when the call
     * returns, and its attempt is lost once `lease` passed without a Report that names its lease. With a `request_id` it
     * is safe to repeat: a lost response loses no job.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED (WORKER_REPLACED) when a repeat of a waiting call took its place,
     * RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING).
     * </pre>
     */
    public io.github.jobstream.v1.LeaseResponse lease(io.github.jobstream.v1.LeaseRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getLeaseMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Report renews leases, and reports and ends attempts that were assigned by Lease. It is safe to repeat: a complete,
     * fail or release that had arrived is then refused with LEASE_LOST.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD). The response has a status for each report.
     * </pre>
     */
    public io.github.jobstream.v1.ReportResponse report(io.github.jobstream.v1.ReportRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getReportMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service WorkerService.
   * <pre>
   * WorkerService is for workers: processes that run attempts of jobs, anywhere, in any language.
   * A worker holds one Work stream for each set of kinds with common slots; a worker that cannot hold a stream calls
   * Lease and Report. The same scheduler serves both, and the server's own pool, by the same rules: an attempt needs a
   * lease, only the newest lease of a job changes it, and a report under any other is refused with LEASE_LOST and changes
   * nothing.
   * </pre>
   */
  public static final class WorkerServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<WorkerServiceBlockingStub> {
    private WorkerServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected WorkerServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new WorkerServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lease assigns jobs to a worker without a stream, and waits for the first one. Each job is RUNNING when the call
     * returns, and its attempt is lost once `lease` passed without a Report that names its lease. With a `request_id` it
     * is safe to repeat: a lost response loses no job.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED (WORKER_REPLACED) when a repeat of a waiting call took its place,
     * RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING).
     * </pre>
     */
    public io.github.jobstream.v1.LeaseResponse lease(io.github.jobstream.v1.LeaseRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getLeaseMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Report renews leases, and reports and ends attempts that were assigned by Lease. It is safe to repeat: a complete,
     * fail or release that had arrived is then refused with LEASE_LOST.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD). The response has a status for each report.
     * </pre>
     */
    public io.github.jobstream.v1.ReportResponse report(io.github.jobstream.v1.ReportRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getReportMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service WorkerService.
   * <pre>
   * WorkerService is for workers: processes that run attempts of jobs, anywhere, in any language.
   * A worker holds one Work stream for each set of kinds with common slots; a worker that cannot hold a stream calls
   * Lease and Report. The same scheduler serves both, and the server's own pool, by the same rules: an attempt needs a
   * lease, only the newest lease of a job changes it, and a report under any other is refused with LEASE_LOST and changes
   * nothing.
   * </pre>
   */
  public static final class WorkerServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<WorkerServiceFutureStub> {
    private WorkerServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected WorkerServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new WorkerServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Lease assigns jobs to a worker without a stream, and waits for the first one. Each job is RUNNING when the call
     * returns, and its attempt is lost once `lease` passed without a Report that names its lease. With a `request_id` it
     * is safe to repeat: a lost response loses no job.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), ABORTED (WORKER_REPLACED) when a repeat of a waiting call took its place,
     * RESOURCE_EXHAUSTED (WORKERS_FULL), UNAVAILABLE (DRAINING).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.LeaseResponse> lease(
        io.github.jobstream.v1.LeaseRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getLeaseMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Report renews leases, and reports and ends attempts that were assigned by Lease. It is safe to repeat: a complete,
     * fail or release that had arrived is then refused with LEASE_LOST.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD). The response has a status for each report.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.ReportResponse> report(
        io.github.jobstream.v1.ReportRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getReportMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_LEASE = 0;
  private static final int METHODID_REPORT = 1;
  private static final int METHODID_WORK = 2;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_LEASE:
          serviceImpl.lease((io.github.jobstream.v1.LeaseRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.LeaseResponse>) responseObserver);
          break;
        case METHODID_REPORT:
          serviceImpl.report((io.github.jobstream.v1.ReportRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.ReportResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_WORK:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.work(
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.WorkResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getWorkMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              io.github.jobstream.v1.WorkRequest,
              io.github.jobstream.v1.WorkResponse>(
                service, METHODID_WORK)))
        .addMethod(
          getLeaseMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.LeaseRequest,
              io.github.jobstream.v1.LeaseResponse>(
                service, METHODID_LEASE)))
        .addMethod(
          getReportMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.ReportRequest,
              io.github.jobstream.v1.ReportResponse>(
                service, METHODID_REPORT)))
        .build();
  }

  private static abstract class WorkerServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    WorkerServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.jobstream.v1.WorkerServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("WorkerService");
    }
  }

  private static final class WorkerServiceFileDescriptorSupplier
      extends WorkerServiceBaseDescriptorSupplier {
    WorkerServiceFileDescriptorSupplier() {}
  }

  private static final class WorkerServiceMethodDescriptorSupplier
      extends WorkerServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    WorkerServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (WorkerServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new WorkerServiceFileDescriptorSupplier())
              .addMethod(getWorkMethod())
              .addMethod(getLeaseMethod())
              .addMethod(getReportMethod())
              .build();
        }
      }
    }
    return result;
  }
}
