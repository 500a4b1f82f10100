package hub

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/haechi-dev/haechi/base/db"
	"github.com/haechi-dev/haechi/word/event"
	"github.com/haechi-dev/haechi/word/fault"
	"github.com/haechi-dev/haechi/word/finding"
)

// Action is a custom action: something people can send findings to. That is an event, and routes do the rest.
type Action struct {
	ARN         string `json:"ActionTargetArn"`
	Name        string `json:"Name"`
	Description string `json:"Description"`
}

var actionForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9]{1,20}$`) })

func (a *Action) check() error {
	switch {
	case !storable(a.Name, a.Description):
		return fault.Invalid.Errorf("Name and Description must be texts")
	case blank(a.Name) || len([]rune(a.Name)) > 20:
		return fault.Invalid.Errorf("an action needs a Name of at most 20 characters")
	case blank(a.Description) || len([]rune(a.Description)) > 500:
		return fault.Invalid.Errorf("an action needs a Description of at most 500 characters")
	}
	return nil
}

const maxActions = 500

// CreateAction adds an action; id is at most 20 letters and digits.
func (h *Hub) CreateAction(ctx context.Context, id string, a Action) (Action, error) {
	if !actionForm().MatchString(id) {
		return a, fault.Invalid.Errorf("an action's Id is 1 to 20 letters and digits, not %q", id)
	}
	if err := a.check(); err != nil {
		return a, err
	}
	a.ARN = h.arn("action/custom/" + id)
	return a, h.db.Write(ctx, func(tx *db.Tx) error {
		have, err := db.One(tx, db.Value[int64], "SELECT COUNT(*) FROM hub_actions")
		if err == nil && have >= maxActions {
			err = fault.Limit.Errorf("there are %d actions already", have)
		}
		if err != nil {
			return err
		}
		n, err := tx.Exec("INSERT INTO hub_actions (id, name, description) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", a.ARN, a.Name, a.Description)
		if err == nil && n == 0 {
			err = fault.Exists.Errorf("there is an action %q already", id)
		}
		return err
	})
}

// Actions are all custom actions, by ARN.
func (h *Hub) Actions(ctx context.Context) (list []Action, err error) {
	err = h.db.Read(ctx, func(tx *db.Tx) error {
		list, err = readActions(tx)
		return err
	})
	return list, err
}

func readActions(tx *db.Tx) ([]Action, error) {
	return db.All(tx, func(scan db.Scan) (a Action, err error) {
		return a, scan(&a.ARN, &a.Name, &a.Description)
	}, "SELECT id, name, description FROM hub_actions ORDER BY id")
}

// Action is one custom action, or fault.NotFound.
func (h *Hub) Action(ctx context.Context, arn string) (a Action, err error) {
	list, err := h.Actions(ctx)
	if err != nil {
		return a, err
	}
	i := slices.IndexFunc(list, func(a Action) bool { return a.ARN == arn })
	if i < 0 {
		return a, noAction(arn)
	}
	return list[i], nil
}

func noAction(arn string) error { return fault.NotFound.Errorf("there is no action %q", arn) }

// UpdateAction changes an action's name or description; "" leaves it.
func (h *Hub) UpdateAction(ctx context.Context, change Action) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		list, err := readActions(tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(a Action) bool { return a.ARN == change.ARN })
		if i < 0 {
			return noAction(change.ARN)
		}
		a := list[i]
		if change.Name != "" {
			a.Name = change.Name
		}
		if change.Description != "" {
			a.Description = change.Description
		}
		if err := a.check(); err != nil {
			return err
		}
		_, err = tx.Exec("UPDATE hub_actions SET name = ?, description = ? WHERE id = ?", a.Name, a.Description, a.ARN)
		return err
	})
}

// DeleteAction removes an action.
func (h *Hub) DeleteAction(ctx context.Context, arn string) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("DELETE FROM hub_actions WHERE id = ?", clean(arn))
		if err == nil && n == 0 {
			err = noAction(arn)
		}
		return err
	})
}

// Send sends findings to an action: one event a finding.
func (h *Hub) Send(ctx context.Context, arn string, refs ...Ref) error {
	a, err := h.Action(ctx, arn)
	if err != nil {
		return err
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		var events []event.Event
		for _, ref := range refs {
			r, err := h.one(tx, ref)
			if err != nil {
				return err
			}
			events = append(events, h.actionEvent(finding.CustomAction, a, map[string]any{"findings": []jsontext.Value{r.doc}}))
		}
		return h.bus.Publish(tx, events...)
	})
}

// InsightResults is what the event is called that tells of an insight's results.
const InsightResults = "Security Hub Insight Results"

// SendResults sends an insight's results to an action.
func (h *Hub) SendResults(ctx context.Context, actionARN, insightARN string) error {
	a, err := h.Action(ctx, actionARN)
	if err != nil {
		return err
	}
	i, groups, err := h.Results(ctx, insightARN)
	if err != nil {
		return err
	}
	return h.db.Write(ctx, func(tx *db.Tx) error {
		return h.bus.Publish(tx, h.actionEvent(InsightResults, a, map[string]any{
			"insightArn": i.ARN, "insightName": i.Name, "resultType": i.GroupBy, "number of results": len(groups), "insightResults": resultList(groups),
		}))
	})
}

func (h *Hub) actionEvent(name string, a Action, detail map[string]any) event.Event {
	detail["actionName"], detail["actionDescription"] = a.Name, a.Description
	return event.Event{Type: name, Source: finding.Source, Account: h.config.Account, Region: h.config.Region, Resources: []string{a.ARN}, Detail: mustJSON(detail)}
}

// ID is the last part of an action's ARN.
func (a Action) ID() string { return a.ARN[strings.LastIndexByte(a.ARN, '/')+1:] }
