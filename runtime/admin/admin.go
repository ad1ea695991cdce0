// Package admin serves the admin service, which tells operators what a gateway does.
package admin

import (
	"context"

	adminv1 "github.com/prismgate/prism/gen/go/prism/admin/v1"
	"github.com/prismgate/prism/gen/go/prism/admin/v1/adminrpc"
	"github.com/prismgate/prism/runtime/rpc"
)

// Routes serve the admin service, whose answer is what status returns at that moment. The answer is not changed afterwards, by either side.
func Routes(status func() *adminv1.GetConfigResponse) []rpc.Route {
	var routes []rpc.Route
	for _, handler := range adminrpc.AdminServiceHandlers(service{status}) {
		routes = append(routes, rpc.Route{Method: handler.Method, Serve: func(ctx context.Context, _ *rpc.Call, stream rpc.Stream) error {
			return handler.Serve(ctx, stream)
		}})
	}
	return routes
}

type service struct {
	status func() *adminv1.GetConfigResponse
}

var _ adminrpc.AdminService = service{}

func (s service) GetConfig(context.Context, *adminv1.GetConfigRequest) (*adminv1.GetConfigResponse, error) {
	return s.status(), nil
}
