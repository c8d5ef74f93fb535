package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/switchyard-ai/switchyard/internal/fault"
	"github.com/switchyard-ai/switchyard/internal/units"
)

// Plan is an answer of the planner. It is never changed: a new plan names its
// parent. Money that billing states is exact; what the model values is a float.
type Plan struct {
	ID        string          `json:"id"` // of the content
	Parent    string          `json:"parent,omitempty"`
	Portfolio string          `json:"portfolio"`
	AsOf      time.Time       `json:"as_of"`
	From      time.Time       `json:"from"`
	To        time.Time       `json:"to"`
	Currency  units.Currency  `json:"currency"`
	Figures   map[string]int  `json:"figures,omitempty"` // which reported value was taken
	Source    string          `json:"source"`            // the portfolio file, so that a plan stands alone
	Used      map[string]Used `json:"used,omitempty"`    // what its demand with a history used

	Decisions []Decision `json:"decisions"`
	Futures   []Future   `json:"futures"` // by scenario; the first is the likeliest
	Years     []Year     `json:"years"`   // of the first future
	Binding   []Binding  `json:"binding"`
	Dispatch  []Dispatch `json:"dispatch_prices"` // of the first future
	Variants  []Variant  `json:"variants,omitempty"`
	Covenants []Standing `json:"covenants,omitempty"`
	Quality   Quality    `json:"quality"`
	Choice    FirstStage `json:"first_stage"`
	Notes     []string   `json:"notes,omitempty"`
}

// Quality says how good the plan is proved to be. Values are discounted money.
type Quality struct {
	Status     string  `json:"status"`
	Objective  float64 `json:"objective"` // (1−λ)·expected cost + λ·CVaR
	Bound      float64 `json:"bound"`     // no plan can cost less
	Gap        float64 `json:"gap"`
	Expected   float64 `json:"expected_cost"`
	CVaR       float64 `json:"cvar"`
	Modelled   float64 `json:"modelled_spend"`   // expected, not discounted
	Billed     float64 `json:"billed_spend"`     // the same by billing of the rounded schedule
	Difference float64 `json:"spend_difference"` // relative
	Variables  int     `json:"variables"`
	Rows       int     `json:"constraints"`
}

// FirstStage is what holds in every future, in the order of the portfolio; what
// depends on the future that is seen by then is 0 in it, and in the branches.
type FirstStage struct {
	Sign []float64 `json:"sign"`
	Size []float64 `json:"size"`
	Buy  []float64 `json:"buy,omitempty"`
	Port []float64 `json:"port,omitempty"`

	Branches []Branch `json:"branches,omitempty"`
}

// Branch is all that is decided, from the first day on, where one of some futures
// comes. What is decided before they can be told from others is the same there.
type Branch struct {
	Futures []string  `json:"futures"`
	Sign    []float64 `json:"sign"`
	Size    []float64 `json:"size"`
	Buy     []float64 `json:"buy,omitempty"`
	Port    []float64 `json:"port,omitempty"`
}

// Action is what a decision does.
type Action string

// The actions.
const (
	Sign    Action = "sign"
	Decline Action = "decline"
	Hold    Action = "hold" // a contract in force
	Buy     Action = "buy"
	Port    Action = "port"
)

// Decision is one thing that the plan decides, with its reasons.
type Decision struct {
	Action  Action    `json:"action"`
	What    string    `json:"what"`
	Size    float64   `json:"size,omitempty"`
	At      time.Time `json:"at"`
	If      []string  `json:"if,omitempty"`           // only where one of these scenarios is seen by then; else in every one
	Worth   *float64  `json:"worth,omitempty"`        // what the other choice would cost more, discounted
	Within  float64   `json:"worth_within,omitempty"` // the worth is a difference of two plans: the sum of their gaps
	Reasons []string  `json:"reasons"`
}

// Future is what happens in one scenario when the plan is followed.
type Future struct {
	Name        string         `json:"name"`
	Probability float64        `json:"probability"`
	Cost        float64        `json:"cost"`           // discounted, as the model values it
	Modelled    float64        `json:"modelled_spend"` // cash paid for compute
	Spend       units.Amount   `json:"spend"`          // billed and capital
	Billed      units.Amount   `json:"billed"`         // by billing
	Capital     units.Amount   `json:"capital"`        // purchases, porting, signing
	Withheld    units.Amount   `json:"withheld"`       // tranches lost by breaches
	CashLow     *Low           `json:"cash_low,omitempty"`
	Annual      map[int]int64  `json:"annual_micros"` // spend by calendar year, in micro-units
	Periods     []PeriodResult `json:"periods"`
	Unserved    []Unserved     `json:"unserved,omitempty"`
	Breaches    []string       `json:"breaches,omitempty"`
	Vested      []Vested       `json:"vested,omitempty"`
	Broken      []string       `json:"broken,omitempty"` // limits that a stress broke
}

// Low is the lowest cash.
type Low struct {
	Amount float64 `json:"amount"`
	Period string  `json:"period"`
}

// Unserved is work not done.
type Unserved struct {
	Demand string  `json:"demand"`
	Period string  `json:"period"`
	Units  float64 `json:"units"`
}

// Vested is a tranche of a warrant that vests.
type Vested struct {
	Warrant string  `json:"warrant"`
	Period  string  `json:"period"`
	Shares  float64 `json:"shares"`
	Value   float64 `json:"value"` // over the strike, the part that counts as a gain
}

// PeriodResult is one period of a future.
type PeriodResult struct {
	Period
	Label     string       `json:"label"`
	Spend     units.Amount `json:"spend"`
	Committed float64      `json:"committed"` // spend that contracts oblige in the period
	Cash      *float64     `json:"cash,omitempty"`
	Nodes     []Nodes      `json:"nodes"`
	Work      []Placed     `json:"work"`
}

// Nodes is capacity used.
type Nodes struct {
	Offer     string  `json:"offer"`
	Provider  string  `json:"provider"`
	Chipmaker string  `json:"chipmaker"`
	Chip      string  `json:"chip"`
	Class     string  `json:"class,omitempty"`
	Source    string  `json:"source"` // list, or the contract that prices or covers it
	Option    string  `json:"option,omitempty"`
	NodeHours int64   `json:"node_hours"` // rounded up, together with other sources of the same offer
	Chips     float64 `json:"chips"`      // on average
	List      string  `json:"list_rate"`  // of a node-hour, exact
	Rate      float64 `json:"rate"`       // of a node-hour, as modelled
}

// Placed is work done.
type Placed struct {
	Demand   string  `json:"demand"`
	Provider string  `json:"provider"`
	Region   string  `json:"region,omitempty"`
	Chip     string  `json:"chip"`
	Class    string  `json:"class,omitempty"`
	Chips    float64 `json:"chips"`
	Units    float64 `json:"units"` // of work
}

// Year sums the first future up for people.
type Year struct {
	Year       int                `json:"year"`
	Spend      units.Amount       `json:"spend"`
	Committed  float64            `json:"committed"`
	Providers  map[string]float64 `json:"providers"`  // shares of spend at list price
	Chipmakers map[string]float64 `json:"chipmakers"` // shares of chip-hours
	HHI        float64            `json:"hhi"`        // of providers
	ChipHHI    float64            `json:"chipmaker_hhi"`
	NetBurn    *float64           `json:"net_burn,omitempty"`      // a month, on average: spend and other costs less revenue; without raises
	Runway     *float64           `json:"runway_months,omitempty"` // from the end of the year, at its net burn, to the floor of cash; nil where cash grows
	CashLow    *Low               `json:"cash_low,omitempty"`
}

// Binding is a constraint that costs something.
type Binding struct {
	Kind    string  `json:"kind"`
	Subject string  `json:"subject"`
	Words   string  `json:"words"`
	Cost    float64 `json:"cost"`        // what it would save to loosen it by one hundredth, or one node-day; discounted
	Yearly  float64 `json:"cost_a_year"` // the same, not discounted, on average over the horizon; of one shorter than a year, in all
	Unit    string  `json:"unit"`
}

// Dispatch is what one more node-hour of an offer really costs in a period.
type Dispatch struct {
	Offer       string  `json:"offer"`
	Provider    string  `json:"provider"`
	Region      string  `json:"region,omitempty"`
	Instance    string  `json:"instance_type"`
	Option      string  `json:"option"`
	Class       string  `json:"class,omitempty"`
	Period      Period  `json:"period"`
	List        float64 `json:"list"`
	Cash        float64 `json:"cash"`        // added to the bill now
	Opportunity float64 `json:"opportunity"` // of clauses that accumulate over longer windows
	Price       float64 `json:"price"`
	Reason      string  `json:"reason"`
}

// Variant is what the planner decides under another reported value.
type Variant struct {
	Figure    string   `json:"figure"`
	Value     string   `json:"value"`
	Source    string   `json:"source"`
	Means     string   `json:"means,omitempty"`
	Taken     bool     `json:"taken"` // the value of this plan
	Objective float64  `json:"objective"`
	Changes   []string `json:"changes"` // of decisions, against this plan
	Error     string   `json:"error,omitempty"`
}

// Standing is where a clause stands at the end of the first future: money by
// billing, covenants window by window.
type Standing struct {
	Contract  string  `json:"contract"`
	Clause    string  `json:"clause"`
	Kind      string  `json:"kind"`
	Committed float64 `json:"committed,omitempty"`
	Retired   float64 `json:"retired,omitempty"`
	Share     float64 `json:"share,omitempty"`
	Floor     float64 `json:"floor,omitempty"`
	Unit      string  `json:"unit,omitempty"` // of share and floor: "of work" (shares) or MW
	Period    string  `json:"period,omitempty"`
	State     string  `json:"state,omitempty"` // of a covenant: kept, cured, broken
}

// Seal gives the plan its ID: a hash of everything else in it.
func (p *Plan) Seal() error {
	p.ID = ""
	data, err := json.Marshal(p)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "plan")
	}
	sum := sha256.Sum256(data)
	p.ID = "plan-" + hex.EncodeToString(sum[:])[:12]
	return nil
}

// Read reads a plan and checks that it is what its ID says.
func Read(data []byte) (*Plan, error) {
	var p Plan
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fault.Newf(fault.Invalid, "not a plan: %s", err)
	}
	id := p.ID
	if err := p.Seal(); err != nil {
		return nil, err
	}
	if p.ID != id {
		return nil, fault.Newf(fault.Invalid, "the plan was changed after it was made: its content is %s and it says %s", p.ID, id)
	}
	return &p, nil
}

// Parse reads the portfolio that the plan answers.
func (p *Plan) Parse() (*Portfolio, error) {
	return Parse(p.Portfolio, []byte(p.Source), Choice{AsOf: &p.AsOf, Figures: p.Figures, Used: p.Used})
}

// Diff lists what another plan decides otherwise.
func Diff(a, b *Plan) []string {
	index := func(p *Plan) (map[string]string, []string) {
		says := map[string]string{}
		var order []string
		for _, d := range p.Decisions {
			before, seen := says[d.What]
			switch {
			case !seen:
				order = append(order, d.What)
				says[d.What] = d.Says()
			case len(d.If) > 0:
				says[d.What] = before + ", " + d.Says()
			default:
				says[d.What] = before + " and " + d.Says()
			}
		}
		return says, order
	}
	before, order := index(a)
	after, more := index(b)
	changes := []string{}
	for _, what := range order {
		switch now, still := after[what]; {
		case !still:
			changes = append(changes, before[what]+" is no longer there")
		case now != before[what]:
			changes = append(changes, before[what]+" becomes "+now)
		}
	}
	for _, what := range more {
		if _, known := before[what]; !known {
			changes = append(changes, after[what]+" is new")
		}
	}
	return changes
}

// Says is the decision in words.
func (d Decision) Says() string {
	text := string(d.Action) + " " + d.What
	if d.Size != 0 && d.Size != 1 {
		text += fmt.Sprintf(" at size %.4g", d.Size)
	}
	if d.Action != Decline && d.Action != Hold && !d.At.IsZero() {
		text += " from " + d.At.Format(time.DateOnly)
	}
	if len(d.If) > 0 {
		text += " if " + strings.Join(d.If, " or ")
	}
	return text
}
