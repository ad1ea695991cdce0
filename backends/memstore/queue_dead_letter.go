package memstore

import (
	"cmp"
	"context"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/prismgate/prism/runtime/fault"

	queuev1 "github.com/prismgate/prism/gen/go/prism/queue/v1"
)

// defaultRedrive is how many messages a Redrive moves when the request does not say it; the contract's.
const defaultRedrive = 1000

// deadLetters is where a queue's dead letters go: nowhere when queue is empty.
type deadLetters struct {
	queue       string
	maxReceives uint32
}

// counted is what max_queue_bytes counts of the configuration.
func (d deadLetters) counted() int {
	if d.queue == "" {
		return 0
	}
	return queueOverhead
}

// letters are the messages that were moved to a queue, by the queue that they were moved from and their place. The zero value has none.
type letters map[string]map[uint64]*item

func (l *letters) add(i *item) {
	if i.deadLetter == nil {
		return
	}
	if *l == nil {
		*l = make(letters)
	}
	source := i.deadLetter.GetSourceQueue()
	if (*l)[source] == nil {
		(*l)[source] = make(map[uint64]*item)
	}
	(*l)[source][i.place] = i
}

func (l *letters) remove(i *item) {
	if i.deadLetter == nil {
		return
	}
	source := i.deadLetter.GetSourceQueue()
	delete((*l)[source], i.place)
	if len((*l)[source]) == 0 {
		delete(*l, source)
	}
}

// move is a message on its way from one queue to another. It was leased in the one, so that nobody misses it until it is in the other.
type move struct {
	item *item
	to   string
}

// ConfigureDeadLetter gives a queue a dead letter queue, or takes it away.
func (q *queue) ConfigureDeadLetter(ctx context.Context, request *queuev1.ConfigureDeadLetterRequest) (*queuev1.ConfigureDeadLetterResponse, error) {
	const op = "memstore.queue.ConfigureDeadLetter"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	wanted := deadLetters{request.GetDeadLetterQueue(), request.GetMaxReceives()}
	var l *line
	var err error
	switch {
	case wanted.queue == "":
		wanted = deadLetters{}
		l, err = q.find(op, request.GetQueue())
	case wanted.queue == request.GetQueue():
		return nil, fault.Invalid("dead_letter_queue", "is the queue itself; name another one")
	case wanted.maxReceives == 0:
		return nil, fault.Invalid("max_receives", "is 0; say how often a message is received before it moves, 1 to 1,000")
	default:
		l, err = q.findOrMake(op, request.GetQueue())
	}
	if l == nil {
		return &queuev1.ConfigureDeadLetterResponse{}, err
	}
	defer l.unlock()
	for !l.advance() { // leases that have ended are the old configuration's
	}
	if !q.quota.reserve(wanted.counted() - l.deadLetters.counted()) {
		return nil, q.exceeded(op)
	}
	l.deadLetters = wanted
	return &queuev1.ConfigureDeadLetterResponse{}, nil
}

// GetDeadLetterQueue tells a queue's dead letter queue.
func (q *queue) GetDeadLetterQueue(ctx context.Context, request *queuev1.GetDeadLetterQueueRequest) (*queuev1.GetDeadLetterQueueResponse, error) {
	const op = "memstore.queue.GetDeadLetterQueue"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l, err := q.find(op, request.GetQueue())
	if l == nil {
		return &queuev1.GetDeadLetterQueueResponse{}, err
	}
	configured := l.deadLetters
	l.unlock()
	if configured.queue == "" {
		return &queuev1.GetDeadLetterQueueResponse{}, nil
	}
	response := &queuev1.GetDeadLetterQueueResponse{Found: true, DeadLetterQueue: configured.queue, MaxReceives: configured.maxReceives}
	l, err = q.find(op, configured.queue)
	if err != nil {
		return nil, err
	}
	if l != nil {
		response.MessageCount = uint64(len(l.letters[request.GetQueue()]))
		l.unlock()
	}
	return response, nil
}

// Redrive moves dead letters back. Between two of them it holds no lock.
func (q *queue) Redrive(ctx context.Context, request *queuev1.RedriveRequest) (*queuev1.RedriveResponse, error) {
	const op = "memstore.queue.Redrive"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	limit := request.GetMaxMessages()
	if limit == 0 {
		limit = defaultRedrive
	}
	l, err := q.find(op, request.GetDeadLetterQueue())
	if l == nil {
		return &queuev1.RedriveResponse{}, err
	}
	found := l.lettersFrom(request.GetSourceQueue())
	l.unlock()
	slices.SortFunc(found, func(a, b letter) int { return cmp.Compare(a.place, b.place) })
	response := &queuev1.RedriveResponse{}
	for _, letter := range found {
		if response.Moved == limit {
			break
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		moved, err := q.moveBack(op, l, letter)
		if err != nil {
			return nil, err
		}
		if moved {
			response.Moved++
		}
	}
	return response, nil
}

// letter names a dead letter of a queue. It may be gone when it is looked for.
type letter struct {
	source string
	place  uint64
}

// lettersFrom returns the visible dead letters from a queue, or from any when source is empty, in no order.
func (l *line) lettersFrom(source string) []letter {
	var found []letter
	for from, items := range l.letters {
		if source != "" && source != from {
			continue
		}
		for place, i := range items {
			if i.state == visible {
				found = append(found, letter{from, place})
			}
		}
	}
	return found
}

// moveBack moves a dead letter to where it came from, if it is still there and visible.
func (q *queue) moveBack(op string, from *line, letter letter) (bool, error) {
	to, err := q.lockBoth(op, from, letter.source)
	if to == nil {
		return false, err
	}
	found := from.letters[letter.source][letter.place]
	moved := found != nil && found.state == visible
	if moved {
		from.ready.remove(found)
		from.letters.remove(found)
		q.recount(found, func() { found.receives, found.reason, found.deadLetter = 0, "", nil })
		to.arrive(found)
	}
	q.deliver(append(from.release(), to.release()...))
	return moved, nil
}

// lockBoth locks a queue and another one, which is made when there is none: the one that was made first comes first. It returns nil when from was freed meanwhile.
func (q *queue) lockBoth(op string, from *line, name string) (*line, error) {
	for {
		// Made and found under its own lock, and let go so that the order can be kept.
		to, err := q.findOrMake(op, name)
		if err != nil {
			return nil, err
		}
		to.unlock()
		first, second := from, to
		if to.number < from.number {
			first, second = to, from
		}
		if first.lock() {
			if second.lock() {
				return to, nil
			}
			first.unlock()
		}
		if from.freed() {
			return nil, nil
		}
	}
}

// bury has a message moved to the dead letter queue.
func (l *line) bury(i *item) {
	l.letters.remove(i)
	l.queue.recount(i, func() {
		i.deadLetter = &queuev1.DeadLetterInfo{
			SourceQueue:       l.name,
			Reason:            queuev1.DeadLetterReason_DEAD_LETTER_REASON_MAX_RECEIVES,
			LastReleaseReason: i.reason,
			ReceiveCount:      i.receives,
			MoveTime:          timestamppb.New(l.now),
		}
		i.reason, i.receives = "", 0
	})
	l.moves = append(l.moves, move{i, l.deadLetters.queue})
}

// deliver puts messages into the queues that they are moved to. What becomes due there is moved on.
func (q *queue) deliver(moves []move) {
	for ; len(moves) > 0; moves = moves[1:] {
		l, err := q.findOrMake("memstore.queue.move", moves[0].to)
		if err != nil {
			return // it is closed
		}
		l.arrive(moves[0].item)
		moves = append(moves, l.release()...)
	}
}
