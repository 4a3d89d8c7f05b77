// SPDX-License-Identifier: Apache-2.0
package io.holdfast;

import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeoutException;

/** Which of the library's exceptions a failure is. */
final class Failures {
    /** What the server's texts call the fields of the Hold stream's first message. */
    private static final String WRAPPER = "ask.";

    private Failures() {}

    /** Of a call or a stream that ended before it told what was to be heard; null: it ended well. */
    static HoldfastException of(Throwable error) {
        Throwable cause = unwrap(error);
        if (cause instanceof HoldfastException failure) {
            return failure;
        }
        if (cause == null) {
            return new RefusedException("the server ended the stream without an answer");
        }
        if (cause instanceof CancellationException) {
            return new CancelledException("the request was taken back");
        }
        if (cause instanceof TimeoutException) {
            return new TimedOutException("the server did not answer in time");
        }
        return isOfGrpc(cause) ? ofStatus(Status.fromThrowable(cause)) : new RefusedException(cause.toString());
    }

    private static HoldfastException ofStatus(Status status) {
        String text = text(status);
        return switch (status.getCode()) {
            case INVALID_ARGUMENT -> new InvalidRequestException(text);
            case UNAVAILABLE -> new ServerAwayException(text);
            case DEADLINE_EXCEEDED -> new TimedOutException(text);
            case RESOURCE_EXHAUSTED -> new LimitReachedException(text);
            case ABORTED -> new DeadlockException(text);
            case CANCELLED -> new CancelledException(text);
            default -> new RefusedException(text);
        };
    }

    /** The server's text; where gRPC itself failed, also why. */
    static String text(Status status) {
        String told = status.getDescription() == null ? status.getCode().name() : status.getDescription();
        String text = told.startsWith(WRAPPER) ? told.substring(WRAPPER.length()) : told;
        String why = rootText(status.getCause());
        return why == null ? text : text + ": " + why;
    }

    private static String rootText(Throwable error) {
        String text = null;
        for (Throwable cause = error; cause != null; cause = cause.getCause()) {
            text = cause.getMessage() == null ? text : cause.getMessage();
        }
        return text;
    }

    /** Whether asking again a little later may be answered otherwise. */
    static boolean isPassing(Throwable error) {
        HoldfastException failure = error == null ? null : of(error);
        return failure == null
                || failure instanceof ServerAwayException
                || failure instanceof LimitReachedException
                || failure instanceof TimedOutException;
    }

    /**
     * Whether the connection may have ended the call. gRPC uses the same status when the server itself says that
     * it, or its Redis, is not available.
     */
    static boolean isDisconnected(Throwable error) {
        return is(error, Status.Code.UNAVAILABLE);
    }

    static boolean is(Throwable error, Status.Code code) {
        Throwable cause = unwrap(error);
        return cause != null && isOfGrpc(cause) && Status.fromThrowable(cause).getCode() == code;
    }

    private static boolean isOfGrpc(Throwable error) {
        return error instanceof StatusRuntimeException || error instanceof StatusException;
    }

    private static Throwable unwrap(Throwable error) {
        boolean wraps = error instanceof CompletionException || error instanceof ExecutionException;
        return wraps && error.getCause() != null ? error.getCause() : error;
    }
}
