package console

import (
	"context"
	"strconv"
	"time"

	"github.com/haechi-dev/haechi/lang/iam"
	"github.com/haechi-dev/haechi/river/bus"
	"github.com/haechi-dev/haechi/word/fault"
)

// Kept is something that takes room on disk: how long it is kept, and how much there is.
type Kept struct {
	Name  string        // English
	Place string        // where it lies, if that is not here
	For   time.Duration // 0 is for ever, less is not one span
	Size  int64         // bytes, or -1 where it is not known
	Most  int64         // bytes, or 0 where there is no bound
	Count int64         // -1 where it is not known
}

// Days is For in days.
func (k Kept) Days() int { return int(k.For / (24 * time.Hour)) }

// Holdings says what is kept, and how long.
type Holdings func(ctx context.Context) ([]Kept, error)

type settingsView struct {
	Account, Region, Version string
	Kept                     []Kept
	Followers                []bus.Follower
	Parked                   []bus.Parked
}

func (o *Console) settings() page {
	return page{
		name: "settings", path: "/settings", nav: "Settings",
		asks: func(r *request) []iam.Request { return r.ask("haechi:GetSettings", "") },
		view: o.settingsView,
		actions: map[string]action{
			"/settings/unpark": {
				asks: func(r *request) []iam.Request { return r.ask("haechi:UnparkEvent", "") },
				do: func(r *request) (string, error) {
					position, err := strconv.ParseInt(r.PostFormValue("position"), 10, 64)
					if err != nil {
						return "", fault.Invalid.Errorf("%q is not a position", r.PostFormValue("position"))
					}
					if err := o.config.Bus.Unpark(r.Context(), r.PostFormValue("follower"), position); err != nil {
						return "", err
					}
					r.say("The event was published again.")
					return "/settings", nil
				},
			},
		},
	}
}

func (o *Console) settingsView(r *request) (v any, err error) {
	s := settingsView{Account: o.config.Account, Region: o.config.Region, Version: o.config.Version}
	if o.config.Kept != nil {
		if s.Kept, err = o.config.Kept(r.Context()); err != nil {
			return nil, err
		}
	}
	stats, err := o.config.Bus.Stats(r.Context())
	if err != nil {
		return nil, err
	}
	s.Followers = stats.Followers
	if s.Parked, err = o.config.Bus.Parked(r.Context()); err != nil {
		return nil, err
	}
	return s, nil
}
