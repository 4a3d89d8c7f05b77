// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import io.grpc.ManagedChannel;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.channel.ChannelOption;
import io.grpc.netty.shaded.io.netty.channel.EventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.epoll.Epoll;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollDomainSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.epoll.EpollEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.nio.NioEventLoopGroup;
import io.grpc.netty.shaded.io.netty.channel.socket.nio.NioSocketChannel;
import io.grpc.netty.shaded.io.netty.channel.unix.DomainSocketAddress;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContext;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.netty.shaded.io.netty.util.concurrent.DefaultThreadFactory;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLException;

/**
 * A gRPC channel of our own, on a thread of its own: whoever makes it shuts both down.
 *
 * @param io the thread that turns the channel's sockets
 */
record Channels(ManagedChannel channel, EventLoopGroup io) {
    private static final int KEEPALIVE_S = 10;
    private static final int KEEPALIVE_TIMEOUT_S = 5;
    private static final int CONNECT_TIMEOUT_MS = 2_000;

    /**
     * PEM files of a tls:// address.
     *
     * @param ca whom to trust; null: whom Java does
     * @param certificate ours, if the server asks, and its key
     */
    record Tls(Path ca, Path certificate, Path key) {
        boolean isGiven() {
            return ca != null || certificate != null || key != null;
        }
    }

    static Channels open(Address address, SslContext tls, Executor executor) {
        EventLoopGroup io = address.path() != null
                ? new EpollEventLoopGroup(1, new DefaultThreadFactory("holdfast-io", true))
                : new NioEventLoopGroup(1, new DefaultThreadFactory("holdfast-io", true));
        NettyChannelBuilder builder = address.path() != null ? local(address) : network(address, tls);
        ManagedChannel channel = builder.eventLoopGroup(io)
                .executor(executor)
                .keepAliveTime(KEEPALIVE_S, TimeUnit.SECONDS)
                .keepAliveTimeout(KEEPALIVE_TIMEOUT_S, TimeUnit.SECONDS)
                .keepAliveWithoutCalls(true)
                .proxyDetector(server -> null)
                .disableServiceConfigLookUp()
                .disableRetry()
                .build();
        return new Channels(channel, io);
    }

    private static NettyChannelBuilder local(Address address) {
        return NettyChannelBuilder.forAddress(new DomainSocketAddress(address.path()))
                .channelType(EpollDomainSocketChannel.class)
                .overrideAuthority("localhost")
                .usePlaintext();
    }

    private static NettyChannelBuilder network(Address address, SslContext tls) {
        NettyChannelBuilder builder = NettyChannelBuilder.forTarget(address.target())
                .channelType(NioSocketChannel.class)
                .withOption(
                        ChannelOption.CONNECT_TIMEOUT_MILLIS,
                        CONNECT_TIMEOUT_MS);
        return tls == null ? builder.usePlaintext() : builder.sslContext(tls);
    }

    /** Whether the address can be reached from here at all, and with what. null: plain. */
    static SslContext check(Address address, Tls tls) {
        if (address.path() != null && !Epoll.isAvailable()) {
            throw Address.refuse(address.url(), "unix sockets need Linux");
        }
        if (!address.isTls() && tls.isGiven()) {
            throw Address.refuse(address.url(), "certificates are given, but it is not tls://");
        }
        if ((tls.certificate() == null) != (tls.key() == null)) {
            throw new InvalidRequestException("certificate and key: one needs the other");
        }
        return address.isTls() ? context(tls) : null;
    }

    private static SslContext context(Tls tls) {
        SslContextBuilder builder = GrpcSslContexts.forClient();
        try {
            if (tls.ca() != null) {
                builder.trustManager(tls.ca().toFile());
            }
            if (tls.certificate() != null) {
                builder.keyManager(tls.certificate().toFile(), tls.key().toFile());
            }
            return builder.build();
        } catch (SSLException | IllegalArgumentException error) {
            throw new InvalidRequestException("certificates: " + error.getMessage());
        }
    }
}
