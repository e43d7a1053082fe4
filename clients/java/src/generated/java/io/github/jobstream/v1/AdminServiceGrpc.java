package io.github.jobstream.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * AdminService is for operators: the state of the server, its queues and its workers.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AdminServiceGrpc {

  private AdminServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "jobstream.v1.AdminService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.GetServerInfoRequest,
      io.github.jobstream.v1.GetServerInfoResponse> getGetServerInfoMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetServerInfo",
      requestType = io.github.jobstream.v1.GetServerInfoRequest.class,
      responseType = io.github.jobstream.v1.GetServerInfoResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.GetServerInfoRequest,
      io.github.jobstream.v1.GetServerInfoResponse> getGetServerInfoMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.GetServerInfoRequest, io.github.jobstream.v1.GetServerInfoResponse> getGetServerInfoMethod;
    if ((getGetServerInfoMethod = AdminServiceGrpc.getGetServerInfoMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getGetServerInfoMethod = AdminServiceGrpc.getGetServerInfoMethod) == null) {
          AdminServiceGrpc.getGetServerInfoMethod = getGetServerInfoMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.GetServerInfoRequest, io.github.jobstream.v1.GetServerInfoResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetServerInfo"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetServerInfoRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetServerInfoResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("GetServerInfo"))
              .build();
        }
      }
    }
    return getGetServerInfoMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.ListQueuesRequest,
      io.github.jobstream.v1.ListQueuesResponse> getListQueuesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListQueues",
      requestType = io.github.jobstream.v1.ListQueuesRequest.class,
      responseType = io.github.jobstream.v1.ListQueuesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.ListQueuesRequest,
      io.github.jobstream.v1.ListQueuesResponse> getListQueuesMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.ListQueuesRequest, io.github.jobstream.v1.ListQueuesResponse> getListQueuesMethod;
    if ((getListQueuesMethod = AdminServiceGrpc.getListQueuesMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListQueuesMethod = AdminServiceGrpc.getListQueuesMethod) == null) {
          AdminServiceGrpc.getListQueuesMethod = getListQueuesMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.ListQueuesRequest, io.github.jobstream.v1.ListQueuesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListQueues"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ListQueuesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ListQueuesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListQueues"))
              .build();
        }
      }
    }
    return getListQueuesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.PauseQueueRequest,
      io.github.jobstream.v1.PauseQueueResponse> getPauseQueueMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "PauseQueue",
      requestType = io.github.jobstream.v1.PauseQueueRequest.class,
      responseType = io.github.jobstream.v1.PauseQueueResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.PauseQueueRequest,
      io.github.jobstream.v1.PauseQueueResponse> getPauseQueueMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.PauseQueueRequest, io.github.jobstream.v1.PauseQueueResponse> getPauseQueueMethod;
    if ((getPauseQueueMethod = AdminServiceGrpc.getPauseQueueMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getPauseQueueMethod = AdminServiceGrpc.getPauseQueueMethod) == null) {
          AdminServiceGrpc.getPauseQueueMethod = getPauseQueueMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.PauseQueueRequest, io.github.jobstream.v1.PauseQueueResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "PauseQueue"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.PauseQueueRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.PauseQueueResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("PauseQueue"))
              .build();
        }
      }
    }
    return getPauseQueueMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.ResumeQueueRequest,
      io.github.jobstream.v1.ResumeQueueResponse> getResumeQueueMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ResumeQueue",
      requestType = io.github.jobstream.v1.ResumeQueueRequest.class,
      responseType = io.github.jobstream.v1.ResumeQueueResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.ResumeQueueRequest,
      io.github.jobstream.v1.ResumeQueueResponse> getResumeQueueMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.ResumeQueueRequest, io.github.jobstream.v1.ResumeQueueResponse> getResumeQueueMethod;
    if ((getResumeQueueMethod = AdminServiceGrpc.getResumeQueueMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getResumeQueueMethod = AdminServiceGrpc.getResumeQueueMethod) == null) {
          AdminServiceGrpc.getResumeQueueMethod = getResumeQueueMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.ResumeQueueRequest, io.github.jobstream.v1.ResumeQueueResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ResumeQueue"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ResumeQueueRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ResumeQueueResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ResumeQueue"))
              .build();
        }
      }
    }
    return getResumeQueueMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.PurgeQueueRequest,
      io.github.jobstream.v1.PurgeQueueResponse> getPurgeQueueMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "PurgeQueue",
      requestType = io.github.jobstream.v1.PurgeQueueRequest.class,
      responseType = io.github.jobstream.v1.PurgeQueueResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.PurgeQueueRequest,
      io.github.jobstream.v1.PurgeQueueResponse> getPurgeQueueMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.PurgeQueueRequest, io.github.jobstream.v1.PurgeQueueResponse> getPurgeQueueMethod;
    if ((getPurgeQueueMethod = AdminServiceGrpc.getPurgeQueueMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getPurgeQueueMethod = AdminServiceGrpc.getPurgeQueueMethod) == null) {
          AdminServiceGrpc.getPurgeQueueMethod = getPurgeQueueMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.PurgeQueueRequest, io.github.jobstream.v1.PurgeQueueResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "PurgeQueue"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.PurgeQueueRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.PurgeQueueResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("PurgeQueue"))
              .build();
        }
      }
    }
    return getPurgeQueueMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.ListWorkersRequest,
      io.github.jobstream.v1.ListWorkersResponse> getListWorkersMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListWorkers",
      requestType = io.github.jobstream.v1.ListWorkersRequest.class,
      responseType = io.github.jobstream.v1.ListWorkersResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.ListWorkersRequest,
      io.github.jobstream.v1.ListWorkersResponse> getListWorkersMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.ListWorkersRequest, io.github.jobstream.v1.ListWorkersResponse> getListWorkersMethod;
    if ((getListWorkersMethod = AdminServiceGrpc.getListWorkersMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getListWorkersMethod = AdminServiceGrpc.getListWorkersMethod) == null) {
          AdminServiceGrpc.getListWorkersMethod = getListWorkersMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.ListWorkersRequest, io.github.jobstream.v1.ListWorkersResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListWorkers"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ListWorkersRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ListWorkersResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("ListWorkers"))
              .build();
        }
      }
    }
    return getListWorkersMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.DrainWorkerRequest,
      io.github.jobstream.v1.DrainWorkerResponse> getDrainWorkerMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DrainWorker",
      requestType = io.github.jobstream.v1.DrainWorkerRequest.class,
      responseType = io.github.jobstream.v1.DrainWorkerResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.DrainWorkerRequest,
      io.github.jobstream.v1.DrainWorkerResponse> getDrainWorkerMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.DrainWorkerRequest, io.github.jobstream.v1.DrainWorkerResponse> getDrainWorkerMethod;
    if ((getDrainWorkerMethod = AdminServiceGrpc.getDrainWorkerMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getDrainWorkerMethod = AdminServiceGrpc.getDrainWorkerMethod) == null) {
          AdminServiceGrpc.getDrainWorkerMethod = getDrainWorkerMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.DrainWorkerRequest, io.github.jobstream.v1.DrainWorkerResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DrainWorker"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.DrainWorkerRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.DrainWorkerResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("DrainWorker"))
              .build();
        }
      }
    }
    return getDrainWorkerMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.SetLogLevelRequest,
      io.github.jobstream.v1.SetLogLevelResponse> getSetLogLevelMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SetLogLevel",
      requestType = io.github.jobstream.v1.SetLogLevelRequest.class,
      responseType = io.github.jobstream.v1.SetLogLevelResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.SetLogLevelRequest,
      io.github.jobstream.v1.SetLogLevelResponse> getSetLogLevelMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.SetLogLevelRequest, io.github.jobstream.v1.SetLogLevelResponse> getSetLogLevelMethod;
    if ((getSetLogLevelMethod = AdminServiceGrpc.getSetLogLevelMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getSetLogLevelMethod = AdminServiceGrpc.getSetLogLevelMethod) == null) {
          AdminServiceGrpc.getSetLogLevelMethod = getSetLogLevelMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.SetLogLevelRequest, io.github.jobstream.v1.SetLogLevelResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SetLogLevel"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.SetLogLevelRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.SetLogLevelResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("SetLogLevel"))
              .build();
        }
      }
    }
    return getSetLogLevelMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.GetStatsRequest,
      io.github.jobstream.v1.GetStatsResponse> getGetStatsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetStats",
      requestType = io.github.jobstream.v1.GetStatsRequest.class,
      responseType = io.github.jobstream.v1.GetStatsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.GetStatsRequest,
      io.github.jobstream.v1.GetStatsResponse> getGetStatsMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.GetStatsRequest, io.github.jobstream.v1.GetStatsResponse> getGetStatsMethod;
    if ((getGetStatsMethod = AdminServiceGrpc.getGetStatsMethod) == null) {
      synchronized (AdminServiceGrpc.class) {
        if ((getGetStatsMethod = AdminServiceGrpc.getGetStatsMethod) == null) {
          AdminServiceGrpc.getGetStatsMethod = getGetStatsMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.GetStatsRequest, io.github.jobstream.v1.GetStatsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetStats"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetStatsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetStatsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AdminServiceMethodDescriptorSupplier("GetStats"))
              .build();
        }
      }
    }
    return getGetStatsMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AdminServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceStub>() {
        @java.lang.Override
        public AdminServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceStub(channel, callOptions);
        }
      };
    return AdminServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AdminServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingV2Stub>() {
        @java.lang.Override
        public AdminServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AdminServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AdminServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceBlockingStub>() {
        @java.lang.Override
        public AdminServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceBlockingStub(channel, callOptions);
        }
      };
    return AdminServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AdminServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AdminServiceFutureStub>() {
        @java.lang.Override
        public AdminServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AdminServiceFutureStub(channel, callOptions);
        }
      };
    return AdminServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * AdminService is for operators: the state of the server, its queues and its workers.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * GetServerInfo returns version, mode, limits and uptime of the server.
     * </pre>
     */
    default void getServerInfo(io.github.jobstream.v1.GetServerInfoRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetServerInfoResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetServerInfoMethod(), responseObserver);
    }

    /**
     * <pre>
     * ListQueues returns every queue that holds jobs or is paused, ordered by name.
     * </pre>
     */
    default void listQueues(io.github.jobstream.v1.ListQueuesRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListQueuesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListQueuesMethod(), responseObserver);
    }

    /**
     * <pre>
     * PauseQueue stops dispatch of a queue. Running attempts continue; jobs are still accepted. Pausing a paused queue,
     * or one without jobs, returns OK.
     * </pre>
     */
    default void pauseQueue(io.github.jobstream.v1.PauseQueueRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.PauseQueueResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getPauseQueueMethod(), responseObserver);
    }

    /**
     * <pre>
     * ResumeQueue continues dispatch. Resuming a queue that is not paused returns OK.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    default void resumeQueue(io.github.jobstream.v1.ResumeQueueRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ResumeQueueResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getResumeQueueMethod(), responseObserver);
    }

    /**
     * <pre>
     * PurgeQueue cancels every waiting job of a queue (SCHEDULED and QUEUED). Running jobs continue.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    default void purgeQueue(io.github.jobstream.v1.PurgeQueueRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.PurgeQueueResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getPurgeQueueMethod(), responseObserver);
    }

    /**
     * <pre>
     * ListWorkers returns every worker: the server's own pool, connected workers, and workers with valid leases.
     * </pre>
     */
    default void listWorkers(io.github.jobstream.v1.ListWorkersRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListWorkersResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListWorkersMethod(), responseObserver);
    }

    /**
     * <pre>
     * DrainWorker assigns no further jobs to a worker and asks it to finish its attempts, to release the rest and to end.
     * Errors: NOT_FOUND (WORKER_NOT_FOUND), FAILED_PRECONDITION (ILLEGAL_STATE) for the server's own workers.
     * </pre>
     */
    default void drainWorker(io.github.jobstream.v1.DrainWorkerRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.DrainWorkerResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDrainWorkerMethod(), responseObserver);
    }

    /**
     * <pre>
     * SetLogLevel changes the level of the server's log until the next change, reload of the config file or restart.
     * Errors: UNIMPLEMENTED if the program that the server is part of does not let it change its log.
     * </pre>
     */
    default void setLogLevel(io.github.jobstream.v1.SetLogLevelRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.SetLogLevelResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSetLogLevelMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetStats returns how many jobs were submitted, started and ended, how many waited and ran, and how long they waited
     * and ran, in steps of the last 24 hours at most, and not before the start of the server. It counts the jobs of queues
     * and kinds of which the caller may list every job.
     * </pre>
     */
    default void getStats(io.github.jobstream.v1.GetStatsRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetStatsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetStatsMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AdminService.
   * <pre>
   * AdminService is for operators: the state of the server, its queues and its workers.
   * </pre>
   */
  public static abstract class AdminServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AdminServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AdminService.
   * <pre>
   * AdminService is for operators: the state of the server, its queues and its workers.
   * </pre>
   */
  public static final class AdminServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AdminServiceStub> {
    private AdminServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * GetServerInfo returns version, mode, limits and uptime of the server.
     * </pre>
     */
    public void getServerInfo(io.github.jobstream.v1.GetServerInfoRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetServerInfoResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetServerInfoMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ListQueues returns every queue that holds jobs or is paused, ordered by name.
     * </pre>
     */
    public void listQueues(io.github.jobstream.v1.ListQueuesRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListQueuesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListQueuesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * PauseQueue stops dispatch of a queue. Running attempts continue; jobs are still accepted. Pausing a paused queue,
     * or one without jobs, returns OK.
     * </pre>
     */
    public void pauseQueue(io.github.jobstream.v1.PauseQueueRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.PauseQueueResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getPauseQueueMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ResumeQueue continues dispatch. Resuming a queue that is not paused returns OK.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public void resumeQueue(io.github.jobstream.v1.ResumeQueueRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ResumeQueueResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getResumeQueueMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * PurgeQueue cancels every waiting job of a queue (SCHEDULED and QUEUED). Running jobs continue.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public void purgeQueue(io.github.jobstream.v1.PurgeQueueRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.PurgeQueueResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getPurgeQueueMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ListWorkers returns every worker: the server's own pool, connected workers, and workers with valid leases.
     * </pre>
     */
    public void listWorkers(io.github.jobstream.v1.ListWorkersRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListWorkersResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListWorkersMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * DrainWorker assigns no further jobs to a worker and asks it to finish its attempts, to release the rest and to end.
     * Errors: NOT_FOUND (WORKER_NOT_FOUND), FAILED_PRECONDITION (ILLEGAL_STATE) for the server's own workers.
     * </pre>
     */
    public void drainWorker(io.github.jobstream.v1.DrainWorkerRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.DrainWorkerResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDrainWorkerMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * SetLogLevel changes the level of the server's log until the next change, reload of the config file or restart.
     * Errors: UNIMPLEMENTED if the program that the server is part of does not let it change its log.
     * </pre>
     */
    public void setLogLevel(io.github.jobstream.v1.SetLogLevelRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.SetLogLevelResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSetLogLevelMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetStats returns how many jobs were submitted, started and ended, how many waited and ran, and how long they waited
     * and ran, in steps of the last 24 hours at most, and not before the start of the server. It counts the jobs of queues
     * and kinds of which the caller may list every job.
     * </pre>
     */
    public void getStats(io.github.jobstream.v1.GetStatsRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetStatsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetStatsMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AdminService.
   * <pre>
   * AdminService is for operators: the state of the server, its queues and its workers.
   * </pre>
   */
  public static final class AdminServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingV2Stub> {
    private AdminServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * GetServerInfo returns version, mode, limits and uptime of the server.
     * </pre>
     */
    public io.github.jobstream.v1.GetServerInfoResponse getServerInfo(io.github.jobstream.v1.GetServerInfoRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetServerInfoMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListQueues returns every queue that holds jobs or is paused, ordered by name.
     * </pre>
     */
    public io.github.jobstream.v1.ListQueuesResponse listQueues(io.github.jobstream.v1.ListQueuesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListQueuesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * PauseQueue stops dispatch of a queue. Running attempts continue; jobs are still accepted. Pausing a paused queue,
     * or one without jobs, returns OK.
     * </pre>
     */
    public io.github.jobstream.v1.PauseQueueResponse pauseQueue(io.github.jobstream.v1.PauseQueueRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getPauseQueueMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ResumeQueue continues dispatch. Resuming a queue that is not paused returns OK.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public io.github.jobstream.v1.ResumeQueueResponse resumeQueue(io.github.jobstream.v1.ResumeQueueRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getResumeQueueMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * PurgeQueue cancels every waiting job of a queue (SCHEDULED and QUEUED). Running jobs continue.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public io.github.jobstream.v1.PurgeQueueResponse purgeQueue(io.github.jobstream.v1.PurgeQueueRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getPurgeQueueMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListWorkers returns every worker: the server's own pool, connected workers, and workers with valid leases.
     * </pre>
     */
    public io.github.jobstream.v1.ListWorkersResponse listWorkers(io.github.jobstream.v1.ListWorkersRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListWorkersMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * DrainWorker assigns no further jobs to a worker and asks it to finish its attempts, to release the rest and to end.
     * Errors: NOT_FOUND (WORKER_NOT_FOUND), FAILED_PRECONDITION (ILLEGAL_STATE) for the server's own workers.
     * </pre>
     */
    public io.github.jobstream.v1.DrainWorkerResponse drainWorker(io.github.jobstream.v1.DrainWorkerRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDrainWorkerMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * SetLogLevel changes the level of the server's log until the next change, reload of the config file or restart.
     * Errors: UNIMPLEMENTED if the program that the server is part of does not let it change its log.
     * </pre>
     */
    public io.github.jobstream.v1.SetLogLevelResponse setLogLevel(io.github.jobstream.v1.SetLogLevelRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSetLogLevelMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetStats returns how many jobs were submitted, started and ended, how many waited and ran, and how long they waited
     * and ran, in steps of the last 24 hours at most, and not before the start of the server. It counts the jobs of queues
     * and kinds of which the caller may list every job.
     * </pre>
     */
    public io.github.jobstream.v1.GetStatsResponse getStats(io.github.jobstream.v1.GetStatsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetStatsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AdminService.
   * <pre>
   * AdminService is for operators: the state of the server, its queues and its workers.
   * </pre>
   */
  public static final class AdminServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AdminServiceBlockingStub> {
    private AdminServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * GetServerInfo returns version, mode, limits and uptime of the server.
     * </pre>
     */
    public io.github.jobstream.v1.GetServerInfoResponse getServerInfo(io.github.jobstream.v1.GetServerInfoRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetServerInfoMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListQueues returns every queue that holds jobs or is paused, ordered by name.
     * </pre>
     */
    public io.github.jobstream.v1.ListQueuesResponse listQueues(io.github.jobstream.v1.ListQueuesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListQueuesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * PauseQueue stops dispatch of a queue. Running attempts continue; jobs are still accepted. Pausing a paused queue,
     * or one without jobs, returns OK.
     * </pre>
     */
    public io.github.jobstream.v1.PauseQueueResponse pauseQueue(io.github.jobstream.v1.PauseQueueRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getPauseQueueMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ResumeQueue continues dispatch. Resuming a queue that is not paused returns OK.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public io.github.jobstream.v1.ResumeQueueResponse resumeQueue(io.github.jobstream.v1.ResumeQueueRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getResumeQueueMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * PurgeQueue cancels every waiting job of a queue (SCHEDULED and QUEUED). Running jobs continue.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public io.github.jobstream.v1.PurgeQueueResponse purgeQueue(io.github.jobstream.v1.PurgeQueueRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getPurgeQueueMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListWorkers returns every worker: the server's own pool, connected workers, and workers with valid leases.
     * </pre>
     */
    public io.github.jobstream.v1.ListWorkersResponse listWorkers(io.github.jobstream.v1.ListWorkersRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListWorkersMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * DrainWorker assigns no further jobs to a worker and asks it to finish its attempts, to release the rest and to end.
     * Errors: NOT_FOUND (WORKER_NOT_FOUND), FAILED_PRECONDITION (ILLEGAL_STATE) for the server's own workers.
     * </pre>
     */
    public io.github.jobstream.v1.DrainWorkerResponse drainWorker(io.github.jobstream.v1.DrainWorkerRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDrainWorkerMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * SetLogLevel changes the level of the server's log until the next change, reload of the config file or restart.
     * Errors: UNIMPLEMENTED if the program that the server is part of does not let it change its log.
     * </pre>
     */
    public io.github.jobstream.v1.SetLogLevelResponse setLogLevel(io.github.jobstream.v1.SetLogLevelRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSetLogLevelMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetStats returns how many jobs were submitted, started and ended, how many waited and ran, and how long they waited
     * and ran, in steps of the last 24 hours at most, and not before the start of the server. It counts the jobs of queues
     * and kinds of which the caller may list every job.
     * </pre>
     */
    public io.github.jobstream.v1.GetStatsResponse getStats(io.github.jobstream.v1.GetStatsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetStatsMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AdminService.
   * <pre>
   * AdminService is for operators: the state of the server, its queues and its workers.
   * </pre>
   */
  public static final class AdminServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AdminServiceFutureStub> {
    private AdminServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AdminServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AdminServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * GetServerInfo returns version, mode, limits and uptime of the server.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.GetServerInfoResponse> getServerInfo(
        io.github.jobstream.v1.GetServerInfoRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetServerInfoMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ListQueues returns every queue that holds jobs or is paused, ordered by name.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.ListQueuesResponse> listQueues(
        io.github.jobstream.v1.ListQueuesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListQueuesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * PauseQueue stops dispatch of a queue. Running attempts continue; jobs are still accepted. Pausing a paused queue,
     * or one without jobs, returns OK.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.PauseQueueResponse> pauseQueue(
        io.github.jobstream.v1.PauseQueueRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getPauseQueueMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ResumeQueue continues dispatch. Resuming a queue that is not paused returns OK.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.ResumeQueueResponse> resumeQueue(
        io.github.jobstream.v1.ResumeQueueRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getResumeQueueMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * PurgeQueue cancels every waiting job of a queue (SCHEDULED and QUEUED). Running jobs continue.
     * Errors: NOT_FOUND (QUEUE_NOT_FOUND) if no such queue exists.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.PurgeQueueResponse> purgeQueue(
        io.github.jobstream.v1.PurgeQueueRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getPurgeQueueMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ListWorkers returns every worker: the server's own pool, connected workers, and workers with valid leases.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.ListWorkersResponse> listWorkers(
        io.github.jobstream.v1.ListWorkersRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListWorkersMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * DrainWorker assigns no further jobs to a worker and asks it to finish its attempts, to release the rest and to end.
     * Errors: NOT_FOUND (WORKER_NOT_FOUND), FAILED_PRECONDITION (ILLEGAL_STATE) for the server's own workers.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.DrainWorkerResponse> drainWorker(
        io.github.jobstream.v1.DrainWorkerRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDrainWorkerMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * SetLogLevel changes the level of the server's log until the next change, reload of the config file or restart.
     * Errors: UNIMPLEMENTED if the program that the server is part of does not let it change its log.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.SetLogLevelResponse> setLogLevel(
        io.github.jobstream.v1.SetLogLevelRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSetLogLevelMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetStats returns how many jobs were submitted, started and ended, how many waited and ran, and how long they waited
     * and ran, in steps of the last 24 hours at most, and not before the start of the server. It counts the jobs of queues
     * and kinds of which the caller may list every job.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.GetStatsResponse> getStats(
        io.github.jobstream.v1.GetStatsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetStatsMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_GET_SERVER_INFO = 0;
  private static final int METHODID_LIST_QUEUES = 1;
  private static final int METHODID_PAUSE_QUEUE = 2;
  private static final int METHODID_RESUME_QUEUE = 3;
  private static final int METHODID_PURGE_QUEUE = 4;
  private static final int METHODID_LIST_WORKERS = 5;
  private static final int METHODID_DRAIN_WORKER = 6;
  private static final int METHODID_SET_LOG_LEVEL = 7;
  private static final int METHODID_GET_STATS = 8;

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
        case METHODID_GET_SERVER_INFO:
          serviceImpl.getServerInfo((io.github.jobstream.v1.GetServerInfoRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetServerInfoResponse>) responseObserver);
          break;
        case METHODID_LIST_QUEUES:
          serviceImpl.listQueues((io.github.jobstream.v1.ListQueuesRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListQueuesResponse>) responseObserver);
          break;
        case METHODID_PAUSE_QUEUE:
          serviceImpl.pauseQueue((io.github.jobstream.v1.PauseQueueRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.PauseQueueResponse>) responseObserver);
          break;
        case METHODID_RESUME_QUEUE:
          serviceImpl.resumeQueue((io.github.jobstream.v1.ResumeQueueRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.ResumeQueueResponse>) responseObserver);
          break;
        case METHODID_PURGE_QUEUE:
          serviceImpl.purgeQueue((io.github.jobstream.v1.PurgeQueueRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.PurgeQueueResponse>) responseObserver);
          break;
        case METHODID_LIST_WORKERS:
          serviceImpl.listWorkers((io.github.jobstream.v1.ListWorkersRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListWorkersResponse>) responseObserver);
          break;
        case METHODID_DRAIN_WORKER:
          serviceImpl.drainWorker((io.github.jobstream.v1.DrainWorkerRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.DrainWorkerResponse>) responseObserver);
          break;
        case METHODID_SET_LOG_LEVEL:
          serviceImpl.setLogLevel((io.github.jobstream.v1.SetLogLevelRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.SetLogLevelResponse>) responseObserver);
          break;
        case METHODID_GET_STATS:
          serviceImpl.getStats((io.github.jobstream.v1.GetStatsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetStatsResponse>) responseObserver);
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
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getGetServerInfoMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.GetServerInfoRequest,
              io.github.jobstream.v1.GetServerInfoResponse>(
                service, METHODID_GET_SERVER_INFO)))
        .addMethod(
          getListQueuesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.ListQueuesRequest,
              io.github.jobstream.v1.ListQueuesResponse>(
                service, METHODID_LIST_QUEUES)))
        .addMethod(
          getPauseQueueMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.PauseQueueRequest,
              io.github.jobstream.v1.PauseQueueResponse>(
                service, METHODID_PAUSE_QUEUE)))
        .addMethod(
          getResumeQueueMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.ResumeQueueRequest,
              io.github.jobstream.v1.ResumeQueueResponse>(
                service, METHODID_RESUME_QUEUE)))
        .addMethod(
          getPurgeQueueMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.PurgeQueueRequest,
              io.github.jobstream.v1.PurgeQueueResponse>(
                service, METHODID_PURGE_QUEUE)))
        .addMethod(
          getListWorkersMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.ListWorkersRequest,
              io.github.jobstream.v1.ListWorkersResponse>(
                service, METHODID_LIST_WORKERS)))
        .addMethod(
          getDrainWorkerMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.DrainWorkerRequest,
              io.github.jobstream.v1.DrainWorkerResponse>(
                service, METHODID_DRAIN_WORKER)))
        .addMethod(
          getSetLogLevelMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.SetLogLevelRequest,
              io.github.jobstream.v1.SetLogLevelResponse>(
                service, METHODID_SET_LOG_LEVEL)))
        .addMethod(
          getGetStatsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.GetStatsRequest,
              io.github.jobstream.v1.GetStatsResponse>(
                service, METHODID_GET_STATS)))
        .build();
  }

  private static abstract class AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AdminServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.jobstream.v1.AdminServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AdminService");
    }
  }

  private static final class AdminServiceFileDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier {
    AdminServiceFileDescriptorSupplier() {}
  }

  private static final class AdminServiceMethodDescriptorSupplier
      extends AdminServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AdminServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (AdminServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AdminServiceFileDescriptorSupplier())
              .addMethod(getGetServerInfoMethod())
              .addMethod(getListQueuesMethod())
              .addMethod(getPauseQueueMethod())
              .addMethod(getResumeQueueMethod())
              .addMethod(getPurgeQueueMethod())
              .addMethod(getListWorkersMethod())
              .addMethod(getDrainWorkerMethod())
              .addMethod(getSetLogLevelMethod())
              .addMethod(getGetStatsMethod())
              .build();
        }
      }
    }
    return result;
  }
}
