package io.github.jobstream.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * JobService is for callers: submit jobs, get their results, watch them live.
 * A failed job is data (an Outcome), never an RPC error. Every error carries google.rpc.ErrorInfo with domain
 * "jobstream" and a stable reason. UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo and can be retried.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class JobServiceGrpc {

  private JobServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "jobstream.v1.JobService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.SubmitRequest,
      io.github.jobstream.v1.SubmitResponse> getSubmitMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Submit",
      requestType = io.github.jobstream.v1.SubmitRequest.class,
      responseType = io.github.jobstream.v1.SubmitResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.SubmitRequest,
      io.github.jobstream.v1.SubmitResponse> getSubmitMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.SubmitRequest, io.github.jobstream.v1.SubmitResponse> getSubmitMethod;
    if ((getSubmitMethod = JobServiceGrpc.getSubmitMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getSubmitMethod = JobServiceGrpc.getSubmitMethod) == null) {
          JobServiceGrpc.getSubmitMethod = getSubmitMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.SubmitRequest, io.github.jobstream.v1.SubmitResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Submit"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.SubmitRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.SubmitResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("Submit"))
              .build();
        }
      }
    }
    return getSubmitMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.BatchSubmitRequest,
      io.github.jobstream.v1.BatchSubmitResponse> getBatchSubmitMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "BatchSubmit",
      requestType = io.github.jobstream.v1.BatchSubmitRequest.class,
      responseType = io.github.jobstream.v1.BatchSubmitResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.BatchSubmitRequest,
      io.github.jobstream.v1.BatchSubmitResponse> getBatchSubmitMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.BatchSubmitRequest, io.github.jobstream.v1.BatchSubmitResponse> getBatchSubmitMethod;
    if ((getBatchSubmitMethod = JobServiceGrpc.getBatchSubmitMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getBatchSubmitMethod = JobServiceGrpc.getBatchSubmitMethod) == null) {
          JobServiceGrpc.getBatchSubmitMethod = getBatchSubmitMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.BatchSubmitRequest, io.github.jobstream.v1.BatchSubmitResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "BatchSubmit"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.BatchSubmitRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.BatchSubmitResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("BatchSubmit"))
              .build();
        }
      }
    }
    return getBatchSubmitMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.SubmitStreamRequest,
      io.github.jobstream.v1.SubmitStreamResponse> getSubmitStreamMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "SubmitStream",
      requestType = io.github.jobstream.v1.SubmitStreamRequest.class,
      responseType = io.github.jobstream.v1.SubmitStreamResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.SubmitStreamRequest,
      io.github.jobstream.v1.SubmitStreamResponse> getSubmitStreamMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.SubmitStreamRequest, io.github.jobstream.v1.SubmitStreamResponse> getSubmitStreamMethod;
    if ((getSubmitStreamMethod = JobServiceGrpc.getSubmitStreamMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getSubmitStreamMethod = JobServiceGrpc.getSubmitStreamMethod) == null) {
          JobServiceGrpc.getSubmitStreamMethod = getSubmitStreamMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.SubmitStreamRequest, io.github.jobstream.v1.SubmitStreamResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "SubmitStream"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.SubmitStreamRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.SubmitStreamResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("SubmitStream"))
              .build();
        }
      }
    }
    return getSubmitStreamMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.RunRequest,
      io.github.jobstream.v1.RunResponse> getRunMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Run",
      requestType = io.github.jobstream.v1.RunRequest.class,
      responseType = io.github.jobstream.v1.RunResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.RunRequest,
      io.github.jobstream.v1.RunResponse> getRunMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.RunRequest, io.github.jobstream.v1.RunResponse> getRunMethod;
    if ((getRunMethod = JobServiceGrpc.getRunMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getRunMethod = JobServiceGrpc.getRunMethod) == null) {
          JobServiceGrpc.getRunMethod = getRunMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.RunRequest, io.github.jobstream.v1.RunResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Run"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.RunRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.RunResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("Run"))
              .build();
        }
      }
    }
    return getRunMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.GetResultRequest,
      io.github.jobstream.v1.GetResultResponse> getGetResultMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetResult",
      requestType = io.github.jobstream.v1.GetResultRequest.class,
      responseType = io.github.jobstream.v1.GetResultResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.GetResultRequest,
      io.github.jobstream.v1.GetResultResponse> getGetResultMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.GetResultRequest, io.github.jobstream.v1.GetResultResponse> getGetResultMethod;
    if ((getGetResultMethod = JobServiceGrpc.getGetResultMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getGetResultMethod = JobServiceGrpc.getGetResultMethod) == null) {
          JobServiceGrpc.getGetResultMethod = getGetResultMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.GetResultRequest, io.github.jobstream.v1.GetResultResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetResult"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetResultRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetResultResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("GetResult"))
              .build();
        }
      }
    }
    return getGetResultMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.WatchResultRequest,
      io.github.jobstream.v1.WatchResultResponse> getWatchResultMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchResult",
      requestType = io.github.jobstream.v1.WatchResultRequest.class,
      responseType = io.github.jobstream.v1.WatchResultResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.WatchResultRequest,
      io.github.jobstream.v1.WatchResultResponse> getWatchResultMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.WatchResultRequest, io.github.jobstream.v1.WatchResultResponse> getWatchResultMethod;
    if ((getWatchResultMethod = JobServiceGrpc.getWatchResultMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getWatchResultMethod = JobServiceGrpc.getWatchResultMethod) == null) {
          JobServiceGrpc.getWatchResultMethod = getWatchResultMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.WatchResultRequest, io.github.jobstream.v1.WatchResultResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchResult"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WatchResultRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WatchResultResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("WatchResult"))
              .build();
        }
      }
    }
    return getWatchResultMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.WatchJobsRequest,
      io.github.jobstream.v1.WatchJobsResponse> getWatchJobsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WatchJobs",
      requestType = io.github.jobstream.v1.WatchJobsRequest.class,
      responseType = io.github.jobstream.v1.WatchJobsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.WatchJobsRequest,
      io.github.jobstream.v1.WatchJobsResponse> getWatchJobsMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.WatchJobsRequest, io.github.jobstream.v1.WatchJobsResponse> getWatchJobsMethod;
    if ((getWatchJobsMethod = JobServiceGrpc.getWatchJobsMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getWatchJobsMethod = JobServiceGrpc.getWatchJobsMethod) == null) {
          JobServiceGrpc.getWatchJobsMethod = getWatchJobsMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.WatchJobsRequest, io.github.jobstream.v1.WatchJobsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.SERVER_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WatchJobs"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WatchJobsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WatchJobsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("WatchJobs"))
              .build();
        }
      }
    }
    return getWatchJobsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.GetJobRequest,
      io.github.jobstream.v1.GetJobResponse> getGetJobMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetJob",
      requestType = io.github.jobstream.v1.GetJobRequest.class,
      responseType = io.github.jobstream.v1.GetJobResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.GetJobRequest,
      io.github.jobstream.v1.GetJobResponse> getGetJobMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.GetJobRequest, io.github.jobstream.v1.GetJobResponse> getGetJobMethod;
    if ((getGetJobMethod = JobServiceGrpc.getGetJobMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getGetJobMethod = JobServiceGrpc.getGetJobMethod) == null) {
          JobServiceGrpc.getGetJobMethod = getGetJobMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.GetJobRequest, io.github.jobstream.v1.GetJobResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetJob"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetJobRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.GetJobResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("GetJob"))
              .build();
        }
      }
    }
    return getGetJobMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.ListJobsRequest,
      io.github.jobstream.v1.ListJobsResponse> getListJobsMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListJobs",
      requestType = io.github.jobstream.v1.ListJobsRequest.class,
      responseType = io.github.jobstream.v1.ListJobsResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.ListJobsRequest,
      io.github.jobstream.v1.ListJobsResponse> getListJobsMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.ListJobsRequest, io.github.jobstream.v1.ListJobsResponse> getListJobsMethod;
    if ((getListJobsMethod = JobServiceGrpc.getListJobsMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getListJobsMethod = JobServiceGrpc.getListJobsMethod) == null) {
          JobServiceGrpc.getListJobsMethod = getListJobsMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.ListJobsRequest, io.github.jobstream.v1.ListJobsResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListJobs"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ListJobsRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.ListJobsResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("ListJobs"))
              .build();
        }
      }
    }
    return getListJobsMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.CancelRequest,
      io.github.jobstream.v1.CancelResponse> getCancelMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Cancel",
      requestType = io.github.jobstream.v1.CancelRequest.class,
      responseType = io.github.jobstream.v1.CancelResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.CancelRequest,
      io.github.jobstream.v1.CancelResponse> getCancelMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.CancelRequest, io.github.jobstream.v1.CancelResponse> getCancelMethod;
    if ((getCancelMethod = JobServiceGrpc.getCancelMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getCancelMethod = JobServiceGrpc.getCancelMethod) == null) {
          JobServiceGrpc.getCancelMethod = getCancelMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.CancelRequest, io.github.jobstream.v1.CancelResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Cancel"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.CancelRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.CancelResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("Cancel"))
              .build();
        }
      }
    }
    return getCancelMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.RetryRequest,
      io.github.jobstream.v1.RetryResponse> getRetryMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Retry",
      requestType = io.github.jobstream.v1.RetryRequest.class,
      responseType = io.github.jobstream.v1.RetryResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.RetryRequest,
      io.github.jobstream.v1.RetryResponse> getRetryMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.RetryRequest, io.github.jobstream.v1.RetryResponse> getRetryMethod;
    if ((getRetryMethod = JobServiceGrpc.getRetryMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getRetryMethod = JobServiceGrpc.getRetryMethod) == null) {
          JobServiceGrpc.getRetryMethod = getRetryMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.RetryRequest, io.github.jobstream.v1.RetryResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Retry"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.RetryRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.RetryResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("Retry"))
              .build();
        }
      }
    }
    return getRetryMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.DeleteRequest,
      io.github.jobstream.v1.DeleteResponse> getDeleteMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Delete",
      requestType = io.github.jobstream.v1.DeleteRequest.class,
      responseType = io.github.jobstream.v1.DeleteResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.DeleteRequest,
      io.github.jobstream.v1.DeleteResponse> getDeleteMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.DeleteRequest, io.github.jobstream.v1.DeleteResponse> getDeleteMethod;
    if ((getDeleteMethod = JobServiceGrpc.getDeleteMethod) == null) {
      synchronized (JobServiceGrpc.class) {
        if ((getDeleteMethod = JobServiceGrpc.getDeleteMethod) == null) {
          JobServiceGrpc.getDeleteMethod = getDeleteMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.DeleteRequest, io.github.jobstream.v1.DeleteResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Delete"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.DeleteRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.DeleteResponse.getDefaultInstance()))
              .setSchemaDescriptor(new JobServiceMethodDescriptorSupplier("Delete"))
              .build();
        }
      }
    }
    return getDeleteMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static JobServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<JobServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<JobServiceStub>() {
        @java.lang.Override
        public JobServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new JobServiceStub(channel, callOptions);
        }
      };
    return JobServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static JobServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<JobServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<JobServiceBlockingV2Stub>() {
        @java.lang.Override
        public JobServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new JobServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return JobServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static JobServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<JobServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<JobServiceBlockingStub>() {
        @java.lang.Override
        public JobServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new JobServiceBlockingStub(channel, callOptions);
        }
      };
    return JobServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static JobServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<JobServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<JobServiceFutureStub>() {
        @java.lang.Override
        public JobServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new JobServiceFutureStub(channel, callOptions);
        }
      };
    return JobServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * JobService is for callers: submit jobs, get their results, watch them live.
   * A failed job is data (an Outcome), never an RPC error. Every error carries google.rpc.ErrorInfo with domain
   * "jobstream" and a stable reason. UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo and can be retried.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Submit accepts one job. When it returns, the job is stored with the durability of `durability`.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD, PAYLOAD_TOO_LARGE), ALREADY_EXISTS (JOB_ID_REUSED), RESOURCE_EXHAUSTED
     * (QUEUE_FULL), UNAVAILABLE (DRAINING), NOT_FOUND (RESULT_EXPIRED: a removed job had the id, and its spec is no
     * longer known, because the server minted the id or an older version removed the job). After all of these except
     * UNAVAILABLE nothing was stored; after any other error submit again with the same job_id.
     * </pre>
     */
    default void submit(io.github.jobstream.v1.SubmitRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getSubmitMethod(), responseObserver);
    }

    /**
     * <pre>
     * BatchSubmit accepts up to 1,000 jobs and returns a result for each in order; with `atomic` all or none.
     * </pre>
     */
    default void batchSubmit(io.github.jobstream.v1.BatchSubmitRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.BatchSubmitResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getBatchSubmitMethod(), responseObserver);
    }

    /**
     * <pre>
     * SubmitStream has the highest throughput: many jobs a message; acknowledgements and, on request, outcomes return in
     * batches.
     * The server stops reading while `window` jobs of the stream wait for their outcome. After a lost connection resend
     * the unacknowledged batches on a new stream: with job ids set, no job runs twice. The stream ends OK after the
     * caller closed its side and, if outcomes were requested, the last one was sent.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitStreamRequest> submitStream(
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitStreamResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getSubmitStreamMethod(), responseObserver);
    }

    /**
     * <pre>
     * Run is Submit and WatchResult in one call. The first message is the response of Submit.
     * A short retention never loses the outcome: a finished job is retained while a Run, a WatchResult or a waiting
     * GetResult of it is open, and for at least 5 s if one was open at its end. Delete still removes it, and so does the
     * bound of retention bytes once watched jobs exceed it by 16 MiB.
     * </pre>
     */
    default void run(io.github.jobstream.v1.RunRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.RunResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRunMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetResult returns the state and, once the job ended, its outcome. With `wait` it returns as soon as the job ends,
     * at the latest after min(wait, 60 s, the call's deadline). For a job that has not ended it returns OK without an
     * outcome.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    default void getResult(io.github.jobstream.v1.GetResultRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetResultResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetResultMethod(), responseObserver);
    }

    /**
     * <pre>
     * WatchResult sends a job's events with a sequence larger than `after_sequence`: first the retained ones, then live
     * ones, in order, each once. To resume, call again with the last sequence that you received.
     * The stream ends OK if and only if the event that ends the job was sent. Otherwise it ends with an error, with
     * RetryInfo where resuming helps. State changes are retained as long as the job, of progress only the newest, of
     * output and logs the newest 256 KiB a job. Dropped events are reported as one gap. A slow reader misses progress and
     * old output, never the end, and delays no other caller.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), UNAVAILABLE (DRAINING, CONNECTION_CLOSING).
     * </pre>
     */
    default void watchResult(io.github.jobstream.v1.WatchResultRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WatchResultResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchResultMethod(), responseObserver);
    }

    /**
     * <pre>
     * WatchJobs sends the state changes of all jobs that match the filter and that the caller may list, in the order in
     * which they happened, each once. The first message is a heartbeat with the cursor of the begin. To resume, call again
     * with the cursor of the last message that you received.
     * The server retains the newest changes of all jobs within a bound of bytes (feed_bytes, default 16 MiB, tens of
     * thousands of changes), while a stream is open and for 10 minutes after the last one closed. A caller that is
     * further behind receives one gap with the number of missed changes, and continues with the oldest retained change. A
     * slow reader delays no other caller. Every open stream counts as a watch.
     * The stream ends only with an error, with RetryInfo where resuming helps.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), RESOURCE_EXHAUSTED (TOO_MANY_WATCHERS), UNAVAILABLE (DRAINING,
     * CONNECTION_CLOSING).
     * </pre>
     */
    default void watchJobs(io.github.jobstream.v1.WatchJobsRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WatchJobsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWatchJobsMethod(), responseObserver);
    }

    /**
     * <pre>
     * GetJob returns the whole job.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    default void getJob(io.github.jobstream.v1.GetJobRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetJobResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetJobMethod(), responseObserver);
    }

    /**
     * <pre>
     * ListJobs returns jobs that match every filter, newest first. Pages are stable: a job is never listed twice, and
     * jobs accepted after the first page are not listed.
     * </pre>
     */
    default void listJobs(io.github.jobstream.v1.ListJobsRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListJobsResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListJobsMethod(), responseObserver);
    }

    /**
     * <pre>
     * Cancel ends a waiting job at once. The handler of a running job is notified at once; its lease is revoked after
     * `grace`. Cancelling a cancelled job returns OK.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) when the job ended
     * otherwise.
     * </pre>
     */
    default void cancel(io.github.jobstream.v1.CancelRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.CancelResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCancelMethod(), responseObserver);
    }

    /**
     * <pre>
     * Retry submits a new job from a finished one: same spec, new id, `origin_job_id` set. The finished job never
     * changes.
     * Errors: as Submit, and FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    default void retry(io.github.jobstream.v1.RetryRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.RetryResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRetryMethod(), responseObserver);
    }

    /**
     * <pre>
     * Delete removes a finished job and its result now. An id that the caller chose stays known (JobSpec.job_id).
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    default void delete(io.github.jobstream.v1.DeleteRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.DeleteResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service JobService.
   * <pre>
   * JobService is for callers: submit jobs, get their results, watch them live.
   * A failed job is data (an Outcome), never an RPC error. Every error carries google.rpc.ErrorInfo with domain
   * "jobstream" and a stable reason. UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo and can be retried.
   * </pre>
   */
  public static abstract class JobServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return JobServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service JobService.
   * <pre>
   * JobService is for callers: submit jobs, get their results, watch them live.
   * A failed job is data (an Outcome), never an RPC error. Every error carries google.rpc.ErrorInfo with domain
   * "jobstream" and a stable reason. UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo and can be retried.
   * </pre>
   */
  public static final class JobServiceStub
      extends io.grpc.stub.AbstractAsyncStub<JobServiceStub> {
    private JobServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected JobServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new JobServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Submit accepts one job. When it returns, the job is stored with the durability of `durability`.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD, PAYLOAD_TOO_LARGE), ALREADY_EXISTS (JOB_ID_REUSED), RESOURCE_EXHAUSTED
     * (QUEUE_FULL), UNAVAILABLE (DRAINING), NOT_FOUND (RESULT_EXPIRED: a removed job had the id, and its spec is no
     * longer known, because the server minted the id or an older version removed the job). After all of these except
     * UNAVAILABLE nothing was stored; after any other error submit again with the same job_id.
     * </pre>
     */
    public void submit(io.github.jobstream.v1.SubmitRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getSubmitMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * BatchSubmit accepts up to 1,000 jobs and returns a result for each in order; with `atomic` all or none.
     * </pre>
     */
    public void batchSubmit(io.github.jobstream.v1.BatchSubmitRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.BatchSubmitResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getBatchSubmitMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * SubmitStream has the highest throughput: many jobs a message; acknowledgements and, on request, outcomes return in
     * batches.
     * The server stops reading while `window` jobs of the stream wait for their outcome. After a lost connection resend
     * the unacknowledged batches on a new stream: with job ids set, no job runs twice. The stream ends OK after the
     * caller closed its side and, if outcomes were requested, the last one was sent.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitStreamRequest> submitStream(
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitStreamResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getSubmitStreamMethod(), getCallOptions()), responseObserver);
    }

    /**
     * <pre>
     * Run is Submit and WatchResult in one call. The first message is the response of Submit.
     * A short retention never loses the outcome: a finished job is retained while a Run, a WatchResult or a waiting
     * GetResult of it is open, and for at least 5 s if one was open at its end. Delete still removes it, and so does the
     * bound of retention bytes once watched jobs exceed it by 16 MiB.
     * </pre>
     */
    public void run(io.github.jobstream.v1.RunRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.RunResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getRunMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetResult returns the state and, once the job ended, its outcome. With `wait` it returns as soon as the job ends,
     * at the latest after min(wait, 60 s, the call's deadline). For a job that has not ended it returns OK without an
     * outcome.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public void getResult(io.github.jobstream.v1.GetResultRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetResultResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetResultMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * WatchResult sends a job's events with a sequence larger than `after_sequence`: first the retained ones, then live
     * ones, in order, each once. To resume, call again with the last sequence that you received.
     * The stream ends OK if and only if the event that ends the job was sent. Otherwise it ends with an error, with
     * RetryInfo where resuming helps. State changes are retained as long as the job, of progress only the newest, of
     * output and logs the newest 256 KiB a job. Dropped events are reported as one gap. A slow reader misses progress and
     * old output, never the end, and delays no other caller.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), UNAVAILABLE (DRAINING, CONNECTION_CLOSING).
     * </pre>
     */
    public void watchResult(io.github.jobstream.v1.WatchResultRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WatchResultResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchResultMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * WatchJobs sends the state changes of all jobs that match the filter and that the caller may list, in the order in
     * which they happened, each once. The first message is a heartbeat with the cursor of the begin. To resume, call again
     * with the cursor of the last message that you received.
     * The server retains the newest changes of all jobs within a bound of bytes (feed_bytes, default 16 MiB, tens of
     * thousands of changes), while a stream is open and for 10 minutes after the last one closed. A caller that is
     * further behind receives one gap with the number of missed changes, and continues with the oldest retained change. A
     * slow reader delays no other caller. Every open stream counts as a watch.
     * The stream ends only with an error, with RetryInfo where resuming helps.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), RESOURCE_EXHAUSTED (TOO_MANY_WATCHERS), UNAVAILABLE (DRAINING,
     * CONNECTION_CLOSING).
     * </pre>
     */
    public void watchJobs(io.github.jobstream.v1.WatchJobsRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WatchJobsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncServerStreamingCall(
          getChannel().newCall(getWatchJobsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * GetJob returns the whole job.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public void getJob(io.github.jobstream.v1.GetJobRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetJobResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetJobMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * ListJobs returns jobs that match every filter, newest first. Pages are stable: a job is never listed twice, and
     * jobs accepted after the first page are not listed.
     * </pre>
     */
    public void listJobs(io.github.jobstream.v1.ListJobsRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListJobsResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListJobsMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Cancel ends a waiting job at once. The handler of a running job is notified at once; its lease is revoked after
     * `grace`. Cancelling a cancelled job returns OK.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) when the job ended
     * otherwise.
     * </pre>
     */
    public void cancel(io.github.jobstream.v1.CancelRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.CancelResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCancelMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Retry submits a new job from a finished one: same spec, new id, `origin_job_id` set. The finished job never
     * changes.
     * Errors: as Submit, and FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public void retry(io.github.jobstream.v1.RetryRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.RetryResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRetryMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Delete removes a finished job and its result now. An id that the caller chose stays known (JobSpec.job_id).
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public void delete(io.github.jobstream.v1.DeleteRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.DeleteResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service JobService.
   * <pre>
   * JobService is for callers: submit jobs, get their results, watch them live.
   * A failed job is data (an Outcome), never an RPC error. Every error carries google.rpc.ErrorInfo with domain
   * "jobstream" and a stable reason. UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo and can be retried.
   * </pre>
   */
  public static final class JobServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<JobServiceBlockingV2Stub> {
    private JobServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected JobServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new JobServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Submit accepts one job. When it returns, the job is stored with the durability of `durability`.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD, PAYLOAD_TOO_LARGE), ALREADY_EXISTS (JOB_ID_REUSED), RESOURCE_EXHAUSTED
     * (QUEUE_FULL), UNAVAILABLE (DRAINING), NOT_FOUND (RESULT_EXPIRED: a removed job had the id, and its spec is no
     * longer known, because the server minted the id or an older version removed the job). After all of these except
     * UNAVAILABLE nothing was stored; after any other error submit again with the same job_id.
     * </pre>
     */
    public io.github.jobstream.v1.SubmitResponse submit(io.github.jobstream.v1.SubmitRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getSubmitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * BatchSubmit accepts up to 1,000 jobs and returns a result for each in order; with `atomic` all or none.
     * </pre>
     */
    public io.github.jobstream.v1.BatchSubmitResponse batchSubmit(io.github.jobstream.v1.BatchSubmitRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getBatchSubmitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * SubmitStream has the highest throughput: many jobs a message; acknowledgements and, on request, outcomes return in
     * batches.
     * The server stops reading while `window` jobs of the stream wait for their outcome. After a lost connection resend
     * the unacknowledged batches on a new stream: with job ids set, no job runs twice. The stream ends OK after the
     * caller closed its side and, if outcomes were requested, the last one was sent.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<io.github.jobstream.v1.SubmitStreamRequest, io.github.jobstream.v1.SubmitStreamResponse>
        submitStream() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getSubmitStreamMethod(), getCallOptions());
    }

    /**
     * <pre>
     * Run is Submit and WatchResult in one call. The first message is the response of Submit.
     * A short retention never loses the outcome: a finished job is retained while a Run, a WatchResult or a waiting
     * GetResult of it is open, and for at least 5 s if one was open at its end. Delete still removes it, and so does the
     * bound of retention bytes once watched jobs exceed it by 16 MiB.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.jobstream.v1.RunResponse>
        run(io.github.jobstream.v1.RunRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetResult returns the state and, once the job ended, its outcome. With `wait` it returns as soon as the job ends,
     * at the latest after min(wait, 60 s, the call's deadline). For a job that has not ended it returns OK without an
     * outcome.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public io.github.jobstream.v1.GetResultResponse getResult(io.github.jobstream.v1.GetResultRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetResultMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchResult sends a job's events with a sequence larger than `after_sequence`: first the retained ones, then live
     * ones, in order, each once. To resume, call again with the last sequence that you received.
     * The stream ends OK if and only if the event that ends the job was sent. Otherwise it ends with an error, with
     * RetryInfo where resuming helps. State changes are retained as long as the job, of progress only the newest, of
     * output and logs the newest 256 KiB a job. Dropped events are reported as one gap. A slow reader misses progress and
     * old output, never the end, and delays no other caller.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), UNAVAILABLE (DRAINING, CONNECTION_CLOSING).
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.jobstream.v1.WatchResultResponse>
        watchResult(io.github.jobstream.v1.WatchResultRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchResultMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchJobs sends the state changes of all jobs that match the filter and that the caller may list, in the order in
     * which they happened, each once. The first message is a heartbeat with the cursor of the begin. To resume, call again
     * with the cursor of the last message that you received.
     * The server retains the newest changes of all jobs within a bound of bytes (feed_bytes, default 16 MiB, tens of
     * thousands of changes), while a stream is open and for 10 minutes after the last one closed. A caller that is
     * further behind receives one gap with the number of missed changes, and continues with the oldest retained change. A
     * slow reader delays no other caller. Every open stream counts as a watch.
     * The stream ends only with an error, with RetryInfo where resuming helps.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), RESOURCE_EXHAUSTED (TOO_MANY_WATCHERS), UNAVAILABLE (DRAINING,
     * CONNECTION_CLOSING).
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<?, io.github.jobstream.v1.WatchJobsResponse>
        watchJobs(io.github.jobstream.v1.WatchJobsRequest request) {
      return io.grpc.stub.ClientCalls.blockingV2ServerStreamingCall(
          getChannel(), getWatchJobsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetJob returns the whole job.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public io.github.jobstream.v1.GetJobResponse getJob(io.github.jobstream.v1.GetJobRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListJobs returns jobs that match every filter, newest first. Pages are stable: a job is never listed twice, and
     * jobs accepted after the first page are not listed.
     * </pre>
     */
    public io.github.jobstream.v1.ListJobsResponse listJobs(io.github.jobstream.v1.ListJobsRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListJobsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Cancel ends a waiting job at once. The handler of a running job is notified at once; its lease is revoked after
     * `grace`. Cancelling a cancelled job returns OK.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) when the job ended
     * otherwise.
     * </pre>
     */
    public io.github.jobstream.v1.CancelResponse cancel(io.github.jobstream.v1.CancelRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCancelMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Retry submits a new job from a finished one: same spec, new id, `origin_job_id` set. The finished job never
     * changes.
     * Errors: as Submit, and FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public io.github.jobstream.v1.RetryResponse retry(io.github.jobstream.v1.RetryRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRetryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Delete removes a finished job and its result now. An id that the caller chose stays known (JobSpec.job_id).
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public io.github.jobstream.v1.DeleteResponse delete(io.github.jobstream.v1.DeleteRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service JobService.
   * <pre>
   * JobService is for callers: submit jobs, get their results, watch them live.
   * A failed job is data (an Outcome), never an RPC error. Every error carries google.rpc.ErrorInfo with domain
   * "jobstream" and a stable reason. UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo and can be retried.
   * </pre>
   */
  public static final class JobServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<JobServiceBlockingStub> {
    private JobServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected JobServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new JobServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Submit accepts one job. When it returns, the job is stored with the durability of `durability`.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD, PAYLOAD_TOO_LARGE), ALREADY_EXISTS (JOB_ID_REUSED), RESOURCE_EXHAUSTED
     * (QUEUE_FULL), UNAVAILABLE (DRAINING), NOT_FOUND (RESULT_EXPIRED: a removed job had the id, and its spec is no
     * longer known, because the server minted the id or an older version removed the job). After all of these except
     * UNAVAILABLE nothing was stored; after any other error submit again with the same job_id.
     * </pre>
     */
    public io.github.jobstream.v1.SubmitResponse submit(io.github.jobstream.v1.SubmitRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getSubmitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * BatchSubmit accepts up to 1,000 jobs and returns a result for each in order; with `atomic` all or none.
     * </pre>
     */
    public io.github.jobstream.v1.BatchSubmitResponse batchSubmit(io.github.jobstream.v1.BatchSubmitRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getBatchSubmitMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Run is Submit and WatchResult in one call. The first message is the response of Submit.
     * A short retention never loses the outcome: a finished job is retained while a Run, a WatchResult or a waiting
     * GetResult of it is open, and for at least 5 s if one was open at its end. Delete still removes it, and so does the
     * bound of retention bytes once watched jobs exceed it by 16 MiB.
     * </pre>
     */
    public java.util.Iterator<io.github.jobstream.v1.RunResponse> run(
        io.github.jobstream.v1.RunRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getRunMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetResult returns the state and, once the job ended, its outcome. With `wait` it returns as soon as the job ends,
     * at the latest after min(wait, 60 s, the call's deadline). For a job that has not ended it returns OK without an
     * outcome.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public io.github.jobstream.v1.GetResultResponse getResult(io.github.jobstream.v1.GetResultRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetResultMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchResult sends a job's events with a sequence larger than `after_sequence`: first the retained ones, then live
     * ones, in order, each once. To resume, call again with the last sequence that you received.
     * The stream ends OK if and only if the event that ends the job was sent. Otherwise it ends with an error, with
     * RetryInfo where resuming helps. State changes are retained as long as the job, of progress only the newest, of
     * output and logs the newest 256 KiB a job. Dropped events are reported as one gap. A slow reader misses progress and
     * old output, never the end, and delays no other caller.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), UNAVAILABLE (DRAINING, CONNECTION_CLOSING).
     * </pre>
     */
    public java.util.Iterator<io.github.jobstream.v1.WatchResultResponse> watchResult(
        io.github.jobstream.v1.WatchResultRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchResultMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * WatchJobs sends the state changes of all jobs that match the filter and that the caller may list, in the order in
     * which they happened, each once. The first message is a heartbeat with the cursor of the begin. To resume, call again
     * with the cursor of the last message that you received.
     * The server retains the newest changes of all jobs within a bound of bytes (feed_bytes, default 16 MiB, tens of
     * thousands of changes), while a stream is open and for 10 minutes after the last one closed. A caller that is
     * further behind receives one gap with the number of missed changes, and continues with the oldest retained change. A
     * slow reader delays no other caller. Every open stream counts as a watch.
     * The stream ends only with an error, with RetryInfo where resuming helps.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD), RESOURCE_EXHAUSTED (TOO_MANY_WATCHERS), UNAVAILABLE (DRAINING,
     * CONNECTION_CLOSING).
     * </pre>
     */
    public java.util.Iterator<io.github.jobstream.v1.WatchJobsResponse> watchJobs(
        io.github.jobstream.v1.WatchJobsRequest request) {
      return io.grpc.stub.ClientCalls.blockingServerStreamingCall(
          getChannel(), getWatchJobsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * GetJob returns the whole job.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public io.github.jobstream.v1.GetJobResponse getJob(io.github.jobstream.v1.GetJobRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetJobMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * ListJobs returns jobs that match every filter, newest first. Pages are stable: a job is never listed twice, and
     * jobs accepted after the first page are not listed.
     * </pre>
     */
    public io.github.jobstream.v1.ListJobsResponse listJobs(io.github.jobstream.v1.ListJobsRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListJobsMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Cancel ends a waiting job at once. The handler of a running job is notified at once; its lease is revoked after
     * `grace`. Cancelling a cancelled job returns OK.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) when the job ended
     * otherwise.
     * </pre>
     */
    public io.github.jobstream.v1.CancelResponse cancel(io.github.jobstream.v1.CancelRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCancelMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Retry submits a new job from a finished one: same spec, new id, `origin_job_id` set. The finished job never
     * changes.
     * Errors: as Submit, and FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public io.github.jobstream.v1.RetryResponse retry(io.github.jobstream.v1.RetryRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRetryMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Delete removes a finished job and its result now. An id that the caller chose stays known (JobSpec.job_id).
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public io.github.jobstream.v1.DeleteResponse delete(io.github.jobstream.v1.DeleteRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service JobService.
   * <pre>
   * JobService is for callers: submit jobs, get their results, watch them live.
   * A failed job is data (an Outcome), never an RPC error. Every error carries google.rpc.ErrorInfo with domain
   * "jobstream" and a stable reason. UNAVAILABLE and RESOURCE_EXHAUSTED carry RetryInfo and can be retried.
   * </pre>
   */
  public static final class JobServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<JobServiceFutureStub> {
    private JobServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected JobServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new JobServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Submit accepts one job. When it returns, the job is stored with the durability of `durability`.
     * Errors: INVALID_ARGUMENT (INVALID_FIELD, PAYLOAD_TOO_LARGE), ALREADY_EXISTS (JOB_ID_REUSED), RESOURCE_EXHAUSTED
     * (QUEUE_FULL), UNAVAILABLE (DRAINING), NOT_FOUND (RESULT_EXPIRED: a removed job had the id, and its spec is no
     * longer known, because the server minted the id or an older version removed the job). After all of these except
     * UNAVAILABLE nothing was stored; after any other error submit again with the same job_id.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.SubmitResponse> submit(
        io.github.jobstream.v1.SubmitRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getSubmitMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * BatchSubmit accepts up to 1,000 jobs and returns a result for each in order; with `atomic` all or none.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.BatchSubmitResponse> batchSubmit(
        io.github.jobstream.v1.BatchSubmitRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getBatchSubmitMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetResult returns the state and, once the job ended, its outcome. With `wait` it returns as soon as the job ends,
     * at the latest after min(wait, 60 s, the call's deadline). For a job that has not ended it returns OK without an
     * outcome.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.GetResultResponse> getResult(
        io.github.jobstream.v1.GetResultRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetResultMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * GetJob returns the whole job.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED).
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.GetJobResponse> getJob(
        io.github.jobstream.v1.GetJobRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetJobMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * ListJobs returns jobs that match every filter, newest first. Pages are stable: a job is never listed twice, and
     * jobs accepted after the first page are not listed.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.ListJobsResponse> listJobs(
        io.github.jobstream.v1.ListJobsRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListJobsMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Cancel ends a waiting job at once. The handler of a running job is notified at once; its lease is revoked after
     * `grace`. Cancelling a cancelled job returns OK.
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) when the job ended
     * otherwise.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.CancelResponse> cancel(
        io.github.jobstream.v1.CancelRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCancelMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Retry submits a new job from a finished one: same spec, new id, `origin_job_id` set. The finished job never
     * changes.
     * Errors: as Submit, and FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.RetryResponse> retry(
        io.github.jobstream.v1.RetryRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRetryMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Delete removes a finished job and its result now. An id that the caller chose stays known (JobSpec.job_id).
     * Errors: NOT_FOUND (JOB_NOT_FOUND, RESULT_EXPIRED), FAILED_PRECONDITION (ILLEGAL_STATE) while the job has not ended.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.DeleteResponse> delete(
        io.github.jobstream.v1.DeleteRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_SUBMIT = 0;
  private static final int METHODID_BATCH_SUBMIT = 1;
  private static final int METHODID_RUN = 2;
  private static final int METHODID_GET_RESULT = 3;
  private static final int METHODID_WATCH_RESULT = 4;
  private static final int METHODID_WATCH_JOBS = 5;
  private static final int METHODID_GET_JOB = 6;
  private static final int METHODID_LIST_JOBS = 7;
  private static final int METHODID_CANCEL = 8;
  private static final int METHODID_RETRY = 9;
  private static final int METHODID_DELETE = 10;
  private static final int METHODID_SUBMIT_STREAM = 11;

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
        case METHODID_SUBMIT:
          serviceImpl.submit((io.github.jobstream.v1.SubmitRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitResponse>) responseObserver);
          break;
        case METHODID_BATCH_SUBMIT:
          serviceImpl.batchSubmit((io.github.jobstream.v1.BatchSubmitRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.BatchSubmitResponse>) responseObserver);
          break;
        case METHODID_RUN:
          serviceImpl.run((io.github.jobstream.v1.RunRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.RunResponse>) responseObserver);
          break;
        case METHODID_GET_RESULT:
          serviceImpl.getResult((io.github.jobstream.v1.GetResultRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetResultResponse>) responseObserver);
          break;
        case METHODID_WATCH_RESULT:
          serviceImpl.watchResult((io.github.jobstream.v1.WatchResultRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.WatchResultResponse>) responseObserver);
          break;
        case METHODID_WATCH_JOBS:
          serviceImpl.watchJobs((io.github.jobstream.v1.WatchJobsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.WatchJobsResponse>) responseObserver);
          break;
        case METHODID_GET_JOB:
          serviceImpl.getJob((io.github.jobstream.v1.GetJobRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.GetJobResponse>) responseObserver);
          break;
        case METHODID_LIST_JOBS:
          serviceImpl.listJobs((io.github.jobstream.v1.ListJobsRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.ListJobsResponse>) responseObserver);
          break;
        case METHODID_CANCEL:
          serviceImpl.cancel((io.github.jobstream.v1.CancelRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.CancelResponse>) responseObserver);
          break;
        case METHODID_RETRY:
          serviceImpl.retry((io.github.jobstream.v1.RetryRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.RetryResponse>) responseObserver);
          break;
        case METHODID_DELETE:
          serviceImpl.delete((io.github.jobstream.v1.DeleteRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.DeleteResponse>) responseObserver);
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
        case METHODID_SUBMIT_STREAM:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.submitStream(
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.SubmitStreamResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getSubmitMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.SubmitRequest,
              io.github.jobstream.v1.SubmitResponse>(
                service, METHODID_SUBMIT)))
        .addMethod(
          getBatchSubmitMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.BatchSubmitRequest,
              io.github.jobstream.v1.BatchSubmitResponse>(
                service, METHODID_BATCH_SUBMIT)))
        .addMethod(
          getSubmitStreamMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              io.github.jobstream.v1.SubmitStreamRequest,
              io.github.jobstream.v1.SubmitStreamResponse>(
                service, METHODID_SUBMIT_STREAM)))
        .addMethod(
          getRunMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.jobstream.v1.RunRequest,
              io.github.jobstream.v1.RunResponse>(
                service, METHODID_RUN)))
        .addMethod(
          getGetResultMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.GetResultRequest,
              io.github.jobstream.v1.GetResultResponse>(
                service, METHODID_GET_RESULT)))
        .addMethod(
          getWatchResultMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.jobstream.v1.WatchResultRequest,
              io.github.jobstream.v1.WatchResultResponse>(
                service, METHODID_WATCH_RESULT)))
        .addMethod(
          getWatchJobsMethod(),
          io.grpc.stub.ServerCalls.asyncServerStreamingCall(
            new MethodHandlers<
              io.github.jobstream.v1.WatchJobsRequest,
              io.github.jobstream.v1.WatchJobsResponse>(
                service, METHODID_WATCH_JOBS)))
        .addMethod(
          getGetJobMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.GetJobRequest,
              io.github.jobstream.v1.GetJobResponse>(
                service, METHODID_GET_JOB)))
        .addMethod(
          getListJobsMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.ListJobsRequest,
              io.github.jobstream.v1.ListJobsResponse>(
                service, METHODID_LIST_JOBS)))
        .addMethod(
          getCancelMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.CancelRequest,
              io.github.jobstream.v1.CancelResponse>(
                service, METHODID_CANCEL)))
        .addMethod(
          getRetryMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.RetryRequest,
              io.github.jobstream.v1.RetryResponse>(
                service, METHODID_RETRY)))
        .addMethod(
          getDeleteMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.DeleteRequest,
              io.github.jobstream.v1.DeleteResponse>(
                service, METHODID_DELETE)))
        .build();
  }

  private static abstract class JobServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    JobServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.jobstream.v1.JobServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("JobService");
    }
  }

  private static final class JobServiceFileDescriptorSupplier
      extends JobServiceBaseDescriptorSupplier {
    JobServiceFileDescriptorSupplier() {}
  }

  private static final class JobServiceMethodDescriptorSupplier
      extends JobServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    JobServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (JobServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new JobServiceFileDescriptorSupplier())
              .addMethod(getSubmitMethod())
              .addMethod(getBatchSubmitMethod())
              .addMethod(getSubmitStreamMethod())
              .addMethod(getRunMethod())
              .addMethod(getGetResultMethod())
              .addMethod(getWatchResultMethod())
              .addMethod(getWatchJobsMethod())
              .addMethod(getGetJobMethod())
              .addMethod(getListJobsMethod())
              .addMethod(getCancelMethod())
              .addMethod(getRetryMethod())
              .addMethod(getDeleteMethod())
              .build();
        }
      }
    }
    return result;
  }
}
