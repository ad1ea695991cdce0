package keyvaluetest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prismgate/prism/gen/go/prism"
	"github.com/prismgate/prism/runtime/backend"
	"github.com/prismgate/prism/runtime/fault"

	keyvaluev1 "github.com/prismgate/prism/gen/go/prism/keyvalue/v1"
)

// realScan is keyvaluev1.Scan under a name that is not its method's.
type realScan interface{ keyvaluev1.Scan }

// scanWith is an implementation with some calls replaced; one that is nil is the real one.
type scanWith struct {
	realScan
	scan  func(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error
	count func(ctx context.Context, request *keyvaluev1.CountRequest) (*keyvaluev1.CountResponse, error)
}

func (s scanWith) Scan(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error {
	if s.scan != nil {
		return s.scan(ctx, request, send)
	}
	return s.realScan.Scan(ctx, request, send)
}

func (s scanWith) Count(ctx context.Context, request *keyvaluev1.CountRequest) (*keyvaluev1.CountResponse, error) {
	if s.count != nil {
		return s.count(ctx, request)
	}
	return s.realScan.Count(ctx, request)
}

func scanMutants() []mutant {
	type send = func(*keyvaluev1.ScanResponse) error
	of := func(name string, scan func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error) mutant {
		return mutant{Name: name, Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueScan
			i.KeyValueScan = scanWith{realScan: right, scan: func(ctx context.Context, request *keyvaluev1.ScanRequest, send func(*keyvaluev1.ScanResponse) error) error {
				return scan(right, ctx, request, send)
			}}
		}}
	}
	tokens := backend.NewTokens([]byte("mutant"))
	return []mutant{
		of("StarInAPrefixMatchesAnything", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			if request.GetPrefix() != "*" {
				return right.Scan(ctx, request, send)
			}
			return right.Scan(ctx, &keyvaluev1.ScanRequest{PageSize: request.GetPageSize(), PageToken: request.GetPageToken()}, send)
		}),
		of("KeyThatIsThePrefixIsLeftOut", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			return right.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
				if response.GetKey() == request.GetPrefix() && response.GetPageToken() == "" {
					return nil
				}
				return send(response)
			})
		}),
		of("PageSizeIsIgnored", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			if request.GetPageSize() > 1_000_000 {
				return right.Scan(ctx, request, send)
			}
			return right.Scan(ctx, &keyvaluev1.ScanRequest{Prefix: request.GetPrefix(), PageToken: request.GetPageToken()}, send)
		}),
		of("LastPageCarriesAToken", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			if request.GetPageSize() != 0 {
				return right.Scan(ctx, request, send)
			}
			var last *keyvaluev1.ScanResponse
			err := right.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
				if last != nil {
					if err := send(last); err != nil {
						return err
					}
				}
				last = response
				return nil
			})
			if err != nil || last == nil {
				return err
			}
			last.PageToken = "more"
			return send(last)
		}),
		of("TokenIsAnOffset", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			if request.GetPageToken() == "" && request.GetPageSize() == 0 || request.GetPageSize() > 1_000_000 || len(request.GetPageToken()) > 4096 {
				return right.Scan(ctx, request, send)
			}
			offset := 0
			if request.GetPageToken() != "" {
				position, err := tokens.Open(request.GetPageToken(), fmt.Sprintf("%p", right), request.GetPrefix())
				if err != nil {
					return err
				}
				if offset, err = strconv.Atoi(string(position)); err != nil {
					return err
				}
			}
			var all []*keyvaluev1.ScanResponse
			err := right.Scan(ctx, &keyvaluev1.ScanRequest{Prefix: request.GetPrefix()}, func(response *keyvaluev1.ScanResponse) error {
				all = append(all, response)
				return nil
			})
			if err != nil {
				return err
			}
			slices.SortFunc(all, func(a, b *keyvaluev1.ScanResponse) int { return strings.Compare(a.GetKey(), b.GetKey()) })
			rest := all[min(offset, len(all)):]
			if size := int(request.GetPageSize()); size > 0 && size < len(rest) {
				rest = rest[:size]
				rest[size-1].PageToken = tokens.Seal([]byte(strconv.Itoa(offset+size)), fmt.Sprintf("%p", right), request.GetPrefix())
			}
			for _, response := range rest {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := send(response); err != nil {
					return err
				}
			}
			return nil
		}),
		func() mutant {
			var mu sync.Mutex
			issued := make(map[string]string) // token to the prefix that it is for
			return of("TokenIsGoodForAnyPrefix", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
				mu.Lock()
				prefix, ours := issued[request.GetPageToken()]
				mu.Unlock()
				if !ours {
					prefix = request.GetPrefix()
				}
				return right.Scan(ctx, &keyvaluev1.ScanRequest{Prefix: prefix, PageSize: request.GetPageSize(), PageToken: request.GetPageToken()}, func(response *keyvaluev1.ScanResponse) error {
					if response.GetPageToken() != "" {
						mu.Lock()
						issued[response.GetPageToken()] = prefix
						mu.Unlock()
					}
					return send(response)
				})
			})
		}(),
		of("SendingGoesOnAfterAnError", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			var first error
			err := right.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
				if err := send(response); err != nil && first == nil {
					first = err
				}
				return nil
			})
			return errors.Join(err, first)
		}),
		of("ErrorOfSendIsReplaced", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			return right.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
				if err := send(response); err != nil {
					return fault.New(fault.Internal, "cannot send: %v", err)
				}
				return nil
			})
		}),
		of("OneMessageIsSentAgainAndAgain", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			message := &keyvaluev1.ScanResponse{}
			return right.Scan(ctx, request, func(response *keyvaluev1.ScanResponse) error {
				message.Key, message.Value, message.PageToken = response.GetKey(), response.GetValue(), response.GetPageToken()
				return send(message)
			})
		}),
		of("CancelIsNoticedAtTheEnd", func(right keyvaluev1.Scan, ctx context.Context, request *keyvaluev1.ScanRequest, send send) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return right.Scan(context.WithoutCancel(ctx), request, func(response *keyvaluev1.ScanResponse) error {
				select {
				case <-ctx.Done():
					return nil
				default:
					return send(response)
				}
			})
		}),
		{Name: "CountCountsKeysThatContainThePrefix", Mutate: func(i *prism.Interfaces) {
			right := i.KeyValueScan
			i.KeyValueScan = scanWith{realScan: right, count: func(ctx context.Context, request *keyvaluev1.CountRequest) (*keyvaluev1.CountResponse, error) {
				if _, err := right.Count(ctx, request); err != nil {
					return nil, err
				}
				var count uint64
				err := right.ScanKeys(ctx, &keyvaluev1.ScanKeysRequest{}, func(response *keyvaluev1.ScanKeysResponse) error {
					if strings.Contains(response.GetKey(), request.GetPrefix()) {
						count++
					}
					return nil
				})
				return &keyvaluev1.CountResponse{Count: count}, err
			}}
		}},
	}
}
