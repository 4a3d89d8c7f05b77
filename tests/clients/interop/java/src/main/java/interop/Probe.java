// SPDX-License-Identifier: Apache-2.0
package interop;

import com.google.common.util.concurrent.ListenableFuture;
import com.google.protobuf.ByteString;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import holdfast.v1.LocksOuterClass.AcquireRequest;
import holdfast.v1.LocksOuterClass.AcquireResponse;
import holdfast.v1.LocksOuterClass.HoldEvent.EventCase;
import holdfast.v1.LocksOuterClass.Lease;
import holdfast.v1.LocksOuterClass.Mode;
import holdfast.v1.LocksOuterClass.WatchEvent;
import holdfast.v1.LocksOuterClass.WatchRequest;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.reflection.v1.ServerReflectionGrpc;
import io.grpc.reflection.v1.ServerReflectionRequest;
import io.grpc.reflection.v1.ServerReflectionResponse;
import java.nio.charset.StandardCharsets;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;

/**
 * What grpc-java does with a server: Probe TARGET PROTO-DIR [CA-FILE]
 *
 * <p>One line for each check: "name: ok", or what went wrong; the exit code tells whether all was well.
 */
public final class Probe {
    private interface Check {
        void run() throws Exception;
    }

    private static final int CALLS = 2000;
    private static final int PINGS = 20000;
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private final String target;
    private final String caFile;
    private final List<Client> clients = new ArrayList<>();

    private Probe(String target, String caFile) {
        this.target = target;
        this.caFile = caFile;
    }

    static void must(boolean condition, String text) {
        if (!condition) {
            throw new IllegalStateException(text);
        }
    }

    static void mustBe(Status.Code code, Status status) {
        must(status.getCode() == code, status + ", not " + code);
    }

    static long seconds(double count) {
        String factor = System.getenv("HOLDFAST_TIME_FACTOR");
        return (long) Math.ceil(count * (factor == null ? 1 : Double.parseDouble(factor)));
    }

    private static Status failure(Check check) throws Exception {
        try {
            check.run();
        } catch (StatusRuntimeException problem) {
            return problem.getStatus();
        }
        return Status.OK;
    }

    private Client connect() throws Exception {
        Client client = new Client(target, caFile);
        clients.add(client);
        return client;
    }

    private void reflection() throws Exception {
        Events<ServerReflectionRequest, ServerReflectionResponse> answers = new Events<>();
        ServerReflectionGrpc.newStub(connect().channel).serverReflectionInfo(answers);
        answers.call.onNext(ServerReflectionRequest.newBuilder().setListServices("").build());
        must(answers.next().getListServicesResponse().getServiceList().stream()
                .anyMatch(service -> service.getName().equals("holdfast.v1.Locks")), "Locks is not listed");
        answers.call.onNext(ServerReflectionRequest.newBuilder()
                .setFileContainingSymbol("holdfast.v1.Locks").build());
        ByteString file = answers.next().getFileDescriptorResponse().getFileDescriptorProto(0);
        must(FileDescriptorProto.parseFrom(file).getService(0).getMethodList().stream()
                .anyMatch(method -> method.getName().equals("Hold")), "Hold is not described");
        answers.call.onCompleted();
        mustBe(Status.Code.OK, answers.end());
    }

    private void health() throws Exception {
        HealthCheckResponse answer = HealthGrpc.newBlockingStub(connect().channel)
                .check(HealthCheckRequest.getDefaultInstance());
        must(answer.getStatus() == ServingStatus.SERVING, answer.toString());
    }

    private void unary() throws Exception {
        Client client = connect();
        Lease lease = client.acquire("unary");
        must(client.isHeld("unary"), "free while it is held");
        client.release(lease);
        must(!client.isHeld("unary"), "held after the release");
    }

    private void watch() throws Exception {
        Client client = connect();
        Events<WatchRequest, WatchEvent> events = client.watch("watch");
        must(events.next().hasFree(), "not free");
        Lease lease = client.acquire("watch");
        must(events.next().hasHeld(), "not held");
        client.release(lease);
        must(events.next().hasFree(), "not free again");
        events.abandon();
    }

    private void hold() throws Exception {
        Client client = connect();
        Client.Hold hold = client.held("hold");
        hold.ping();
        hold.expect(EventCase.RENEWED);
        hold.release();
        must(!client.isHeld("hold"), "held after the end of input");
    }

    private void cancel() throws Exception {
        Client client = connect();
        client.held("cancel").events.abandon();
        Events<WatchRequest, WatchEvent> events = client.watch("cancel");
        while (!events.next().hasFree()) {}
        events.abandon();
    }

    private void deadline() throws Exception {
        Client.Hold hold = connect().held("deadline");
        Client client = connect();
        long started = System.nanoTime();
        AcquireRequest request = AcquireRequest.newBuilder().setKey("deadline").setWaitMs(60000).build();
        mustBe(Status.Code.DEADLINE_EXCEEDED, failure(() ->
                client.locks().withDeadlineAfter(300, TimeUnit.MILLISECONDS).acquire(request)));
        double passed = (System.nanoTime() - started) / 1e9;
        must(passed > 0.25 && passed < seconds(3), passed + " s");
        hold.release();
        must(!client.isHeld("deadline"), "somebody waits still");
    }

    private void largeRequest() throws Exception {
        Client client = connect();
        AcquireRequest request = AcquireRequest.newBuilder()
                .setKey("large").setValue(ByteString.copyFrom(new byte[100000])).build();
        Status refused = failure(() -> client.locks().acquire(request));
        mustBe(Status.Code.RESOURCE_EXHAUSTED, refused);
        must(refused.getDescription().contains("max-message-size"), refused.getDescription());
        mustBe(Status.Code.RESOURCE_EXHAUSTED, client.hold(Client.large(1000000)).events.end());
        client.release(client.acquire("large"));
    }

    private void errorText() throws Exception {
        String name = "zoë 100% — 鎖\n2nd line";
        Client first = connect();
        Client second = connect();
        List<Client.Hold> holds = List.of(first.held(name), second.held("other"));
        Client.Hold wait = first.wait("other");
        wait.expect(EventCase.QUEUED);
        Status refused = second.wait(name).events.end();
        mustBe(Status.Code.ABORTED, refused);
        must(refused.getDescription().contains(name), refused.getDescription());
        wait.events.abandon();
        for (Client.Hold hold : holds) {
            hold.release();
        }
    }

    /** Says what is to be done from outside, and waits until it is. */
    private static void tell(String what) throws Exception {
        OUT.println(what);
        must(System.in.read() == '\n', "the input has ended");
    }

    private void twoThousandCalls() throws Exception {
        Client.Hold gate = connect().held("many");
        Client client = connect();
        AcquireRequest request = AcquireRequest.newBuilder()
                .setKey("many").setMode(Mode.MODE_SHARED).setWaitMs(60000).build();
        List<ListenableFuture<AcquireResponse>> calls = new ArrayList<>();
        for (int i = 0; i < CALLS; i++) {
            calls.add(client.later().acquire(request));
        }
        tell("calls?");
        gate.release();
        Set<Long> fences = new HashSet<>();
        for (ListenableFuture<AcquireResponse> call : calls) {
            must(call.get().hasLease(), call.get().toString());
            fences.add(call.get().getLease().getFence());
        }
        must(fences.size() == CALLS, fences.size() + " fences");
    }

    private void slowReader() throws Exception {
        Client client = connect();
        Client.Hold slow = client.held("slow");
        for (int i = 0; i < PINGS; i++) {
            slow.ping();
        }
        for (int i = 0; i < 50; i++) {
            client.release(client.acquire("quick"));
        }
        for (int i = 0; i < PINGS; i++) {
            slow.expect(EventCase.RENEWED);
        }
        slow.release();
    }

    private void drain() throws Exception {
        Client client = connect();
        Client.Hold hold = client.held("drain");
        Client.Hold wait = connect().wait("drain");
        wait.expect(EventCase.QUEUED);
        Events<HealthCheckRequest, HealthCheckResponse> statuses = new Events<>();
        HealthGrpc.newStub(connect().channel).watch(HealthCheckRequest.getDefaultInstance(), statuses);
        must(statuses.next().getStatus() == ServingStatus.SERVING, "not SERVING");
        tell("drain?");
        must(statuses.next().getStatus() == ServingStatus.NOT_SERVING, "SERVING while it drains");
        mustBe(Status.Code.UNAVAILABLE, statuses.end());
        hold.ping();
        hold.expect(EventCase.RENEWED);
        mustBe(Status.Code.UNAVAILABLE, failure(() -> client.acquire("another")));
        hold.release();
        wait.expect(EventCase.GRANTED);
        wait.release();
    }

    private Map<String, Check> checks() {
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("reflection", this::reflection);
        checks.put("health", this::health);
        checks.put("unary", this::unary);
        checks.put("watch", this::watch);
        checks.put("hold", this::hold);
        checks.put("cancel", this::cancel);
        checks.put("deadline", this::deadline);
        checks.put("large request", this::largeRequest);
        checks.put("error text", this::errorText);
        checks.put("two thousand calls", this::twoThousandCalls);
        checks.put("slow reader", this::slowReader);
        checks.put("drain", this::drain);
        return checks;
    }

    private boolean passes(String name, Check check) {
        try {
            check.run();
            OUT.println(name + ": ok");
            return true;
        } catch (Exception problem) {
            OUT.println(name + ": " + problem.toString().replace("\n", "\\n"));
            return false;
        } finally {
            clients.forEach(Client::close);
            clients.clear();
        }
    }

    public static void main(String[] arguments) {
        Probe probe = new Probe(arguments[0], arguments.length > 2 ? arguments[2] : null);
        int failed = 0;
        for (Map.Entry<String, Check> check : probe.checks().entrySet()) {
            failed |= probe.passes(check.getKey(), check.getValue()) ? 0 : 1;
        }
        System.exit(failed);
    }
}
