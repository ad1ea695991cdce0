package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/prismgate/prism/backends/nats"
	backendsv1 "github.com/prismgate/prism/gen/go/prism/backends/v1"
	configv1 "github.com/prismgate/prism/gen/go/prism/config/v1"
	"github.com/prismgate/prism/internal/testenv"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"
)

func requireRefused(t *testing.T, want string, config *backendsv1.Nats) {
	t.Helper()
	config.Timeout = durationpb.New(10 * time.Second)
	begin := time.Now()
	store, err := nats.Open(t.Context(), backend.Env{}, config)
	require.Nil(t, store)
	require.ErrorContains(t, err, want)
	require.NotContains(t, err.Error(), "hunter2")
	require.Less(t, time.Since(begin), patience)
}

func TestOpenSaysWhatIsWrongAndWhatWouldBeRight(t *testing.T) {
	t.Setenv("PASSWORD", "hunter2")
	secret := &configv1.Secret{Source: &configv1.Secret_Env{Env: "PASSWORD"}}
	plain := testenv.Shared(t, testenv.NATS)
	requireRefused(t, "nothing answers at any of urls", &backendsv1.Nats{Urls: []string{"nats://127.0.0.1:1"}})
	requireRefused(t, "urls: one of them is no URL", &backendsv1.Nats{Urls: []string{"nats://prism:hunter2@127.0.0.1:port"}})
	requireRefused(t, "the server has no TLS", &backendsv1.Nats{Urls: at(plain).GetUrls(), Tls: &configv1.ClientTls{}})
	requireRefused(t, "ca_file", &backendsv1.Nats{Urls: at(plain).GetUrls(), Tls: &configv1.ClientTls{CaFile: "/none"}})
	requireRefused(t, "NOT_SET", &backendsv1.Nats{Token: &configv1.Secret{Source: &configv1.Secret_Env{Env: "NOT_SET"}}})

	small := testenv.Start(t, testenv.NATS, "max_payload: 1MB")
	requireRefused(t, "set max_payload: 8MB", at(small))

	closed := testenv.Start(t, testenv.NATS, `authorization {users = [
		{user: prism, password: right},
		{user: narrow, password: hunter2, permissions: {publish: {allow: ["prism.>", "$JS.API.>"]}, subscribe: {allow: ["prism.>", "_INBOX.>"]}}},
		{user: hunter2, password: hunter2, permissions: {publish: {allow: ["prism.>", "$JS.API.>", "$JS.ACK.prism_topics.>"]}, subscribe: {allow: ["prism.>", "_INBOX.>"]}}}]}`)
	urls := at(closed).GetUrls()
	requireRefused(t, "correct username and password", &backendsv1.Nats{Urls: urls})
	requireRefused(t, "correct username and password", &backendsv1.Nats{Urls: urls, Username: "prism", Password: secret})
	requireRefused(t, "correct username and password", &backendsv1.Nats{Urls: urls, Token: secret})
	requireRefused(t, "$JS.ACK.prism_topics.>", &backendsv1.Nats{Urls: urls, Username: "narrow", Password: secret})

	// The rights that the documentation names are enough.
	store := open(t, &backendsv1.Nats{Urls: urls, Username: "hunter2", Password: secret})
	i := namespace(t, store, "name")
	set(t, i, "key", "value")
	r, _ := readDurable(t, i, nil)
	keep(t, i, "kept")
	acknowledge(t, i, requireDurable(t, "kept", r.next(t)))
}

func TestOpenChangesNothing(t *testing.T) {
	t.Parallel()
	server := testenv.Start(t, testenv.NATS)
	store, err := nats.Open(t.Context(), backend.Env{}, at(server))
	require.NoError(t, err)
	require.NoError(t, store.Close(t.Context()))
	require.NoError(t, server.Stop())
	require.NoDirExists(t, server.Folder+"/jetstream/$G/streams")
}

func TestStreamThatIsAnothersIsRefused(t *testing.T) {
	t.Parallel()
	config := at(testenv.Shared(t, testenv.NATS))
	namespace(t, open(t, config), "name")
	config.TopicRetention = durationpb.New(time.Minute)
	_, err := open(t, config).Namespace(t.Context(), "name")
	require.Equal(t, fault.FailedPrecondition, fault.CodeOf(err))
	require.ErrorContains(t, err, "topic_retention")
}

func TestClosedInstanceAnswersUnavailable(t *testing.T) {
	t.Parallel()
	store, err := nats.Open(t.Context(), backend.Env{}, at(testenv.Shared(t, testenv.NATS)))
	require.NoError(t, err)
	i := namespace(t, store, "name")
	r, _ := readDurable(t, i, nil)
	require.NoError(t, store.Close(context.WithoutCancel(t.Context())))
	require.Equal(t, fault.Unavailable, fault.CodeOf(r.ending(t)))
}
