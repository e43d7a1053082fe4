package io.github.jobstream.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * AccessService is for callers: who the server takes them for, what they may do, and tokens for others.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class AccessServiceGrpc {

  private AccessServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "jobstream.v1.AccessService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.WhoAmIRequest,
      io.github.jobstream.v1.WhoAmIResponse> getWhoAmIMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "WhoAmI",
      requestType = io.github.jobstream.v1.WhoAmIRequest.class,
      responseType = io.github.jobstream.v1.WhoAmIResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.WhoAmIRequest,
      io.github.jobstream.v1.WhoAmIResponse> getWhoAmIMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.WhoAmIRequest, io.github.jobstream.v1.WhoAmIResponse> getWhoAmIMethod;
    if ((getWhoAmIMethod = AccessServiceGrpc.getWhoAmIMethod) == null) {
      synchronized (AccessServiceGrpc.class) {
        if ((getWhoAmIMethod = AccessServiceGrpc.getWhoAmIMethod) == null) {
          AccessServiceGrpc.getWhoAmIMethod = getWhoAmIMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.WhoAmIRequest, io.github.jobstream.v1.WhoAmIResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "WhoAmI"))
              .setSafe(true)
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WhoAmIRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.WhoAmIResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AccessServiceMethodDescriptorSupplier("WhoAmI"))
              .build();
        }
      }
    }
    return getWhoAmIMethod;
  }

  private static volatile io.grpc.MethodDescriptor<io.github.jobstream.v1.MintTokenRequest,
      io.github.jobstream.v1.MintTokenResponse> getMintTokenMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "MintToken",
      requestType = io.github.jobstream.v1.MintTokenRequest.class,
      responseType = io.github.jobstream.v1.MintTokenResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<io.github.jobstream.v1.MintTokenRequest,
      io.github.jobstream.v1.MintTokenResponse> getMintTokenMethod() {
    io.grpc.MethodDescriptor<io.github.jobstream.v1.MintTokenRequest, io.github.jobstream.v1.MintTokenResponse> getMintTokenMethod;
    if ((getMintTokenMethod = AccessServiceGrpc.getMintTokenMethod) == null) {
      synchronized (AccessServiceGrpc.class) {
        if ((getMintTokenMethod = AccessServiceGrpc.getMintTokenMethod) == null) {
          AccessServiceGrpc.getMintTokenMethod = getMintTokenMethod =
              io.grpc.MethodDescriptor.<io.github.jobstream.v1.MintTokenRequest, io.github.jobstream.v1.MintTokenResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "MintToken"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.MintTokenRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  io.github.jobstream.v1.MintTokenResponse.getDefaultInstance()))
              .setSchemaDescriptor(new AccessServiceMethodDescriptorSupplier("MintToken"))
              .build();
        }
      }
    }
    return getMintTokenMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static AccessServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AccessServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AccessServiceStub>() {
        @java.lang.Override
        public AccessServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AccessServiceStub(channel, callOptions);
        }
      };
    return AccessServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static AccessServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AccessServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AccessServiceBlockingV2Stub>() {
        @java.lang.Override
        public AccessServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AccessServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return AccessServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static AccessServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AccessServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AccessServiceBlockingStub>() {
        @java.lang.Override
        public AccessServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AccessServiceBlockingStub(channel, callOptions);
        }
      };
    return AccessServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static AccessServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<AccessServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<AccessServiceFutureStub>() {
        @java.lang.Override
        public AccessServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new AccessServiceFutureStub(channel, callOptions);
        }
      };
    return AccessServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * AccessService is for callers: who the server takes them for, what they may do, and tokens for others.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * WhoAmI returns the principal of the caller and its grants.
     * </pre>
     */
    default void whoAmI(io.github.jobstream.v1.WhoAmIRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WhoAmIResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getWhoAmIMethod(), responseObserver);
    }

    /**
     * <pre>
     * MintToken returns a token with which its holder may read one job: GetJob, GetResult and WatchResult. A page can send it
     * as the parameter access_token of an HTTP address, for an EventSource.
     * The token is not stored. It stays valid until it expires, or until its key is removed from the server.
     * Errors: NOT_FOUND (JOB_NOT_FOUND) unless the caller may read the job; PERMISSION_DENIED (GRANT_MISSING) for the holder
     * of a minted token.
     * </pre>
     */
    default void mintToken(io.github.jobstream.v1.MintTokenRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.MintTokenResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getMintTokenMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service AccessService.
   * <pre>
   * AccessService is for callers: who the server takes them for, what they may do, and tokens for others.
   * </pre>
   */
  public static abstract class AccessServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return AccessServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service AccessService.
   * <pre>
   * AccessService is for callers: who the server takes them for, what they may do, and tokens for others.
   * </pre>
   */
  public static final class AccessServiceStub
      extends io.grpc.stub.AbstractAsyncStub<AccessServiceStub> {
    private AccessServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AccessServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AccessServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * WhoAmI returns the principal of the caller and its grants.
     * </pre>
     */
    public void whoAmI(io.github.jobstream.v1.WhoAmIRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.WhoAmIResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getWhoAmIMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * MintToken returns a token with which its holder may read one job: GetJob, GetResult and WatchResult. A page can send it
     * as the parameter access_token of an HTTP address, for an EventSource.
     * The token is not stored. It stays valid until it expires, or until its key is removed from the server.
     * Errors: NOT_FOUND (JOB_NOT_FOUND) unless the caller may read the job; PERMISSION_DENIED (GRANT_MISSING) for the holder
     * of a minted token.
     * </pre>
     */
    public void mintToken(io.github.jobstream.v1.MintTokenRequest request,
        io.grpc.stub.StreamObserver<io.github.jobstream.v1.MintTokenResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getMintTokenMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service AccessService.
   * <pre>
   * AccessService is for callers: who the server takes them for, what they may do, and tokens for others.
   * </pre>
   */
  public static final class AccessServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<AccessServiceBlockingV2Stub> {
    private AccessServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AccessServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AccessServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * WhoAmI returns the principal of the caller and its grants.
     * </pre>
     */
    public io.github.jobstream.v1.WhoAmIResponse whoAmI(io.github.jobstream.v1.WhoAmIRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getWhoAmIMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * MintToken returns a token with which its holder may read one job: GetJob, GetResult and WatchResult. A page can send it
     * as the parameter access_token of an HTTP address, for an EventSource.
     * The token is not stored. It stays valid until it expires, or until its key is removed from the server.
     * Errors: NOT_FOUND (JOB_NOT_FOUND) unless the caller may read the job; PERMISSION_DENIED (GRANT_MISSING) for the holder
     * of a minted token.
     * </pre>
     */
    public io.github.jobstream.v1.MintTokenResponse mintToken(io.github.jobstream.v1.MintTokenRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getMintTokenMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service AccessService.
   * <pre>
   * AccessService is for callers: who the server takes them for, what they may do, and tokens for others.
   * </pre>
   */
  public static final class AccessServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<AccessServiceBlockingStub> {
    private AccessServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AccessServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AccessServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * WhoAmI returns the principal of the caller and its grants.
     * </pre>
     */
    public io.github.jobstream.v1.WhoAmIResponse whoAmI(io.github.jobstream.v1.WhoAmIRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getWhoAmIMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * MintToken returns a token with which its holder may read one job: GetJob, GetResult and WatchResult. A page can send it
     * as the parameter access_token of an HTTP address, for an EventSource.
     * The token is not stored. It stays valid until it expires, or until its key is removed from the server.
     * Errors: NOT_FOUND (JOB_NOT_FOUND) unless the caller may read the job; PERMISSION_DENIED (GRANT_MISSING) for the holder
     * of a minted token.
     * </pre>
     */
    public io.github.jobstream.v1.MintTokenResponse mintToken(io.github.jobstream.v1.MintTokenRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getMintTokenMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service AccessService.
   * <pre>
   * AccessService is for callers: who the server takes them for, what they may do, and tokens for others.
   * </pre>
   */
  public static final class AccessServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<AccessServiceFutureStub> {
    private AccessServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected AccessServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new AccessServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * WhoAmI returns the principal of the caller and its grants.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.WhoAmIResponse> whoAmI(
        io.github.jobstream.v1.WhoAmIRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getWhoAmIMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * MintToken returns a token with which its holder may read one job: GetJob, GetResult and WatchResult. A page can send it
     * as the parameter access_token of an HTTP address, for an EventSource.
     * The token is not stored. It stays valid until it expires, or until its key is removed from the server.
     * Errors: NOT_FOUND (JOB_NOT_FOUND) unless the caller may read the job; PERMISSION_DENIED (GRANT_MISSING) for the holder
     * of a minted token.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<io.github.jobstream.v1.MintTokenResponse> mintToken(
        io.github.jobstream.v1.MintTokenRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getMintTokenMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_WHO_AM_I = 0;
  private static final int METHODID_MINT_TOKEN = 1;

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
        case METHODID_WHO_AM_I:
          serviceImpl.whoAmI((io.github.jobstream.v1.WhoAmIRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.WhoAmIResponse>) responseObserver);
          break;
        case METHODID_MINT_TOKEN:
          serviceImpl.mintToken((io.github.jobstream.v1.MintTokenRequest) request,
              (io.grpc.stub.StreamObserver<io.github.jobstream.v1.MintTokenResponse>) responseObserver);
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
          getWhoAmIMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.WhoAmIRequest,
              io.github.jobstream.v1.WhoAmIResponse>(
                service, METHODID_WHO_AM_I)))
        .addMethod(
          getMintTokenMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              io.github.jobstream.v1.MintTokenRequest,
              io.github.jobstream.v1.MintTokenResponse>(
                service, METHODID_MINT_TOKEN)))
        .build();
  }

  private static abstract class AccessServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    AccessServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return io.github.jobstream.v1.AccessServiceOuterClass.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("AccessService");
    }
  }

  private static final class AccessServiceFileDescriptorSupplier
      extends AccessServiceBaseDescriptorSupplier {
    AccessServiceFileDescriptorSupplier() {}
  }

  private static final class AccessServiceMethodDescriptorSupplier
      extends AccessServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    AccessServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (AccessServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new AccessServiceFileDescriptorSupplier())
              .addMethod(getWhoAmIMethod())
              .addMethod(getMintTokenMethod())
              .build();
        }
      }
    }
    return result;
  }
}
