package planner_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/switchyard-ai/switchyard/internal/planner"
)

// clauseCase is a portfolio small enough for its optimum to be worked out by
// hand, as the comment beside it does.
type clauseCase struct {
	name      string
	days      int    // of the horizon, in periods of a day from 2026-03-01
	horizon   string // in place of days
	portfolio string
	documents string  // of contracts, with DAYn for the n-th day
	cost      float64 // the optimum as the model counts it: with what is lost that is no cash
	spend     float64 // what billing says; the cost where 0
}

func (c clauseCase) text() string {
	horizon := c.horizon
	if horizon == "" {
		horizon = fmt.Sprintf("{from: DAY0, to: DAY%d, periods: [{every: day}]}", c.days)
	}
	text := "kind: Portfolio\nname: case\nhorizon: " + horizon + "\n" + c.portfolio + c.documents
	for n := 99; n >= 0; n-- {
		text = strings.ReplaceAll(text, fmt.Sprint("DAY", n), fmt.Sprintf("2026-%02d-%02d", 3+n/31, 1+n%31))
	}
	return text
}

// document writes a contract over days [0, n).
func document(name, party string, days int, scope string, clauses ...string) string {
	return fmt.Sprintf("---\nkind: Contract\nname: %s\ncounterparty: %s\noffered: DAY0\nterm: {from: DAY0, to: DAY%d}\nscope: {%s}\nclauses:\n- %s\n", name, party, days, scope, strings.Join(clauses, "\n- "))
}

const tenNodes = "demand: [{name: work, class: inference, rate: 10, throughput: {H100: 1, MI300X: 1, Trainium2: 0.5}}]\n"

func clauseCases() []clauseCase {
	return []clauseCase{
		// Of critical work on a (10) half must survive its loss, so half runs on b (20): 24·(5·10 + 5·20).
		{name: "n-1 of providers", days: 1, cost: 3600, portfolio: strings.Replace(tenNodes, "rate: 10", "rate: 10, critical: true", 1) +
			"offers:\n- {name: a, provider: a, chip: H100, price: 10}\n- {name: b, provider: b, chip: H100, price: 20}\nsurvive: [{of: provider, share: 50%}]\n"},
		// The same by chipmaker: H100 at two providers survives no loss of NVIDIA, MI300X at 30 does: 24·(5·10 + 5·30).
		{name: "n-1 of chipmakers", days: 1, cost: 4800, portfolio: strings.Replace(tenNodes, "rate: 10", "rate: 10, critical: true", 1) +
			"offers:\n- {name: a, provider: a, chip: H100, price: 10}\n- {name: b, provider: b, chip: H100, price: 20}\n- {name: c, provider: a, chip: MI300X, price: 30}\nsurvive: [{of: chipmaker, share: 50%}]\n"},
		// What can be had at once elsewhere counts too: a fifth of b's 20 nodes that lie free, so 4 + 0.8x covers 5 at x = 1.25.
		{name: "n-1 with a surge", days: 1, cost: 24 * (8.75*10 + 1.25*20), portfolio: strings.Replace(tenNodes, "rate: 10", "rate: 10, critical: true", 1) +
			"offers:\n- {name: a, provider: a, chip: H100, price: 10}\n- {name: b, provider: b, chip: H100, price: 20, capacity: 20, surge: 0.2}\nsurvive: [{of: provider, share: 50%}]\n"},
		// Porting for 100 takes a day and saves 24·10·5 on each of three days: 2400 + 100 + 3·1200.
		{name: "porting as an option", days: 4, cost: 6100, portfolio: tenNodes +
			"offers:\n- {name: a, provider: a, chip: H100, price: 10}\n- {name: b, provider: b, chip: MI300X, price: 5}\nqualification: [{model: work, families: [cuda], porting: [{family: rocm, cost: 100, takes: 1d}]}]\n"},
		// For 4000 it is not worth it: 4·2400.
		{name: "porting that does not pay", days: 4, cost: 9600, portfolio: tenNodes +
			"offers:\n- {name: a, provider: a, chip: H100, price: 10}\n- {name: b, provider: b, chip: MI300X, price: 5}\nqualification: [{model: work, families: [cuda], porting: [{family: rocm, cost: 4000, takes: 1d}]}]\n"},
		// The contract's nodes save 1200 a day; in half of the futures they come two days late: 4·1200 + ½·2·1200.
		{name: "a deal blocked for days", days: 4, cost: 6000, spend: 4800, portfolio: tenNodes + blocked(", for: 2d"), documents: document("c", "b", 20, "providers: [b]", "{discount: {percent: 0%}}")},
		// Or never: ½·4800 + ½·9600.
		{name: "a deal blocked for ever", days: 4, cost: 7200, spend: 4800, portfolio: tenNodes + blocked(""), documents: document("c", "b", 20, "providers: [b]", "{discount: {percent: 0%}}")},
		// The counterparty's name does as well as the contract's.
		{name: "a counterparty blocks", days: 4, cost: 7200, spend: 4800, portfolio: tenNodes + strings.Replace(blocked(""), "contracts: [c]}]}", "providers: [b]}]}", 1),
			documents: document("c", "b", 20, "providers: [b]", "{discount: {percent: 0%}}")},
		// 30% of chips on Trainium (6 a node, half the work): y + x/2 = 10 and x = 0.3(x + y) make 103.53 an hour
		// in place of 100, 84.71 a day. A tranche of 90 is worth that;
		{name: "a covenant kept for its tranche", days: 1, cost: 24 * (10*8.235294 + 6*3.529412), portfolio: tenNodes + covenantOffers,
			documents: document("c", "aws", 1, "", "{chip_covenant: {chipmakers: [aws], share: 30%, per: total, tranche: 90}}")},
		// one of 80 is not: 2400 and 80 lost, which is no bill.
		{name: "a covenant broken", days: 1, cost: 2480, spend: 2400, portfolio: tenNodes + covenantOffers,
			documents: document("c", "aws", 1, "", "{chip_covenant: {chipmakers: [aws], share: 30%, per: total, tranche: 80}}")},
		// Scheduled 10 and delivered 6 at 2 (and 4 elsewhere at 10): 24·(6·2 + 4·10).
		{name: "a ramp delivered late", days: 1, cost: 1248, portfolio: tenNodes +
			"offers:\n- {name: a, provider: a, chip: H100, price: 10}\n- {name: b, provider: b, chip: H100, price: 9, capacity: 6}\ncontracts: [{contract: c, status: signed}]\n",
			documents: document("c", "b", 1, "providers: [b]", "{ramp: {price: 2, schedule: [{from: DAY0, quantity: 10}], delivered: [{from: DAY0, quantity: 6}]}}")},
		// 2400 prepaid at b (10) beside a (8): drawn down whole before a is used at all, and paid either way: 2400, no more.
		{name: "a prepayment", days: 1, cost: 2400, portfolio: tenNodes +
			"offers:\n- {name: a, provider: a, chip: H100, price: 8}\n- {name: b, provider: b, chip: H100, price: 10}\ncontracts: [{contract: c, status: signed}]\n",
			documents: document("c", "b", 1, "providers: [b]", "{prepayment: {amount: 2400}}")},
		// At most half of spend with one provider: x·8 = y·10, x + y = 10.
		{name: "a concentration cap", days: 1, cost: 24 * (10 * 80.0 / 9), portfolio: tenNodes +
			"offers:\n- {name: a, provider: a, chip: H100, price: 8}\n- {name: b, provider: b, chip: H100, price: 10}\ncontracts: [{contract: c, status: signed}]\n",
			documents: document("c", "b", 1, "", "{concentration_cap: {of: provider, share: 50%, per: total}}")},
		// Inference must stay with b.
		{name: "exclusivity", days: 1, cost: 2400, portfolio: tenNodes +
			"offers:\n- {name: a, provider: a, chip: H100, price: 8}\n- {name: b, provider: b, chip: H100, price: 10}\ncontracts: [{contract: c, status: signed}]\n",
			documents: document("c", "b", 1, "", "{exclusivity: {holder: b, classes: [inference]}}")},
		// 2400 at b earns 10% above 1000 and 20% above 2000: 180. Moving the half that a has room for (9) would lose them.
		{name: "tiers above their thresholds", days: 1, cost: 2220, portfolio: tenNodes + tierOffers,
			documents: document("c", "b", 1, "providers: [b]", "{discount: {tiers: {window: total, steps: [{above: 1000, discount: 10%}, {above: 2000, discount: 20%}]}}}")},
		// 5% above 2000 gives 20, less than the 120 that a saves: 24·(5·9 + 5·10).
		{name: "tiers that do not pay", days: 1, cost: 2280, portfolio: tenNodes + tierOffers,
			documents: document("c", "b", 1, "providers: [b]", "{discount: {tiers: {window: total, steps: [{above: 2000, discount: 5%}]}}}")},
		// Off everything once 200 chip-hours are passed: a takes what leaves b just above, at 9 (10 less 10%).
		{name: "a retroactive tier", days: 1, cost: 200*9 + 40*8, portfolio: tenNodes + strings.Replace(tierOffers, "price: 9", "price: 8", 1),
			documents: document("c", "b", 1, "providers: [b]", "{discount: {tiers: {window: total, measure: chip-hours, mode: retroactive, steps: [{above: 200, discount: 10%}]}}}")},
		// The floor counts what is left after tiers: of 2400 less 240, 2160, so 90 are short.
		{name: "a floor after tiers", days: 1, cost: 2250, portfolio: tenNodes + "offers:\n- {name: b, provider: b, chip: H100, price: 10}\ncontracts: [{contract: c, status: signed}]\n",
			documents: document("c", "b", 1, "providers: [b]", "{discount: {tiers: {window: total, mode: retroactive, steps: [{above: 2000, discount: 10%}]}}}", "{commitment: {period: total, amount: 2250}}")},
		// 600 bought ahead retires 600 at once; what it pays for does not: 600 more at b, 120 node-hours, the rest at a (8).
		{name: "a MACC's prepayment retires once", days: 1, cost: 1200 + 120*8, portfolio: tenNodes +
			"offers:\n- {name: a, provider: a, chip: H100, price: 8}\n- {name: b, provider: b, chip: H100, price: 10}\ncontracts: [{contract: c, status: signed}]\n",
			documents: document("c", "b", 1, "providers: [b]", "{macc: {amount: 1200, prepayments: [{at: DAY0, amount: 600}]}}")},
		// The first day uses 1200 of 2400 that it should; the 1200 charged pays for half of the second day, which retires the rest.
		{name: "a MACC's shortfall is credit", days: 2, cost: 3600, portfolio: "demand: [{name: work, class: inference, steps: [{from: DAY0, value: 5}, {from: DAY1, value: 10}], throughput: {H100: 1}}]\n" +
			"offers:\n- {name: b, provider: b, chip: H100, price: 10}\ncontracts: [{contract: c, status: signed}]\n",
			documents: document("c", "b", 2, "providers: [b]", "{macc: {amount: 3600, milestones: [{by: DAY1, amount: 2400}]}}")},
		// Half a megawatt is five nodes at 12 in place of 10, 240 more, for 100 shares that gain 4 each.
		{name: "a warrant worth its power", days: 1, cost: 2640 - 400, spend: 2640, portfolio: tenNodes + warrantOffers("5"),
			documents: document("c", "amd", 1, "chipmakers: [amd]", "{warrant: {shares: 100, strike: 1, tranches: [{shares: 100, gigawatts: 0.0005, price: 4}]}}")},
		// A share below the tranche's price vests none.
		{name: "a warrant below its price", days: 1, cost: 2400, portfolio: tenNodes + warrantOffers("3.9"),
			documents: document("c", "amd", 1, "chipmakers: [amd]", "{warrant: {shares: 100, strike: 1, tranches: [{shares: 100, gigawatts: 0.0005, price: 4}]}}")},
		// January takes 60 of 80 nodes and pays for 80; February's 100 nodes exceed the floor by 7,680 node-hours,
		// free out of what January paid for. They are no spend: the floor of 65,000 over February is 5,480 short.
		{name: "what is made up counts towards no floor", horizon: "{from: 2026-01-01, to: 2026-03-01}", cost: 80*744 + 65000,
			portfolio: "demand: [{name: work, class: inference, steps: [{from: 2026-01-01, value: 60}, {from: 2026-02-01, value: 100}], throughput: {H100: 1}}]\n" +
				"offers: [{name: a, provider: a, chip: H100, price: 1}]\ncontracts: [{contract: c, status: signed}, {contract: d, status: signed}]\n",
			documents: "---\nkind: Contract\nname: c\ncounterparty: a\nterm: {from: 2026-01-01, to: 2026-03-01}\nclauses: [{take_or_pay: {quantity: 59520, per: month, price: 1, make_up: {expires: 12mo}}}]\n" +
				"---\nkind: Contract\nname: d\ncounterparty: a\nterm: {from: 2026-02-01, to: 2026-03-01}\nclauses: [{commitment: {period: total, amount: 65000}}]\n"},
		// Eight of ten nodes find power at the site (0.8 MW at 100 kW); two run at b for 12: 24·(8·10 + 2·12).
		{name: "power of a site", days: 1, cost: 24 * 104, portfolio: tenNodes +
			"sites: [{name: hall, megawatts: 0.8}]\noffers:\n- {name: a, provider: a, chip: H100, price: 10, kilowatts: 100, site: hall}\n- {name: c, provider: a, chip: MI300X, price: 11, kilowatts: 100, site: hall}\n- {name: b, provider: b, chip: H100, price: 12}\n"},
		// What January paid for may be made up in February only: 960 node-hours of it are, and the rest is not rolled on to March.
		{name: "what is made up expires", horizon: "{from: 2026-01-01, to: 2026-04-01}", cost: 59520 + 59520 + 74400,
			portfolio: "demand: [{name: work, class: inference, steps: [{from: 2026-01-01, value: 60}, {from: 2026-02-01, value: 90}, {from: 2026-03-01, value: 100}], throughput: {H100: 1}}]\n" +
				"offers: [{name: a, provider: a, chip: H100, price: 1}]\ncontracts: [{contract: c, status: signed}]\n",
			documents: "---\nkind: Contract\nname: c\ncounterparty: a\nterm: {from: 2026-01-01, to: 2026-04-01}\nclauses: [{take_or_pay: {quantity: 59520, per: month, price: 1, make_up: {expires: 1mo}}}]\n"},
		// No Trainium in January: the covenant is missed then and kept in February, within its cure.
		{name: "a breach that is cured", horizon: "{from: 2026-01-01, to: 2026-03-01}", cost: 744*100 + 672*(10*8.235294+6*3.529412),
			portfolio: tenNodes + strings.Replace(covenantOffers, "price: 6}", "price: 6, from: 2026-02-01}", 1),
			documents: "---\nkind: Contract\nname: c\ncounterparty: aws\nterm: {from: 2026-01-01, to: 2026-03-01}\nclauses: [{chip_covenant: {chipmakers: [aws], share: 30%, cure: 1mo}}]\n"},
		// With a cure of which no time is left to see, February's tranche is lost as January's would have been: 50 is less than keeping it costs.
		{name: "a breach not worth its cure", horizon: "{from: 2026-01-01, to: 2026-03-01}", cost: 1416*100 + 2*50, spend: 1416 * 100,
			portfolio: tenNodes + covenantOffers,
			documents: "---\nkind: Contract\nname: c\ncounterparty: aws\nterm: {from: 2026-01-01, to: 2026-03-01}\nclauses: [{chip_covenant: {chipmakers: [aws], share: 30%, cure: 1mo, tranche: 50}}]\n"},
	}
}

const covenantOffers = "offers:\n- {name: h, provider: azure, chip: H100, price: 10}\n- {name: t, provider: aws, chip: Trainium2, price: 6}\ncontracts: [{contract: c, status: signed}]\n"

const tierOffers = "offers:\n- {name: a, provider: a, chip: H100, price: 9, capacity: 5}\n- {name: b, provider: b, chip: H100, price: 10}\ncontracts: [{contract: c, status: signed}]\n"

func warrantOffers(price string) string {
	return "offers:\n- {name: h, provider: azure, chip: H100, price: 10}\n- {name: m, provider: azure, chip: MI300X, price: 12, kilowatts: 100}\n" +
		"contracts: [{contract: c, status: offered, shares: {price: [{from: DAY0, value: " + price + "}]}}]\n"
}

// blocked has nodes at half price under a contract that half of the futures block.
func blocked(length string) string {
	return "offers:\n- {name: a, provider: a, chip: H100, price: 10}\n- {name: b, provider: b, chip: H100, price: 5, contract: c, capacity: 10}\ncontracts: [{contract: c, status: offered}]\n" +
		"scenarios:\n- {name: free, probability: 0.5}\n- {name: held up, probability: 0.5, effects: [{what: block" + length + ", contracts: [c]}]}\n"
}

func TestEachClauseHasTheOptimumWorkedOutByHand(t *testing.T) {
	if testing.Short() {
		t.Skip("many solves; go test without -short runs them")
	}
	for _, c := range clauseCases() {
		t.Run(c.name, func(t *testing.T) {
			made := solve(t, c.text())
			if math.Abs(made.Quality.Objective-c.cost) > 1e-5*c.cost {
				t.Errorf("the optimum is %.4f, want %.4f\n%s", made.Quality.Objective, c.cost, c.text())
			}
			want := c.spend
			if want == 0 {
				want = c.cost
			}
			// Schedules are rounded up to whole node-hours.
			if billed := float64(made.Futures[0].Spend.Micros) / 1e6; math.Abs(billed-want) > 0.005*want+1e-6 {
				t.Errorf("billing says %.4f, want %.4f", billed, want)
			}
			if d := made.Quality.Difference; math.Abs(d) > 0.005 {
				t.Errorf("billing differs from the model by %.3f%%", 100*d)
			}
			violations, err := planner.Check(problem(t, c.text()), made)
			if err != nil || len(violations) > 0 {
				t.Errorf("the linter refuses it: %v %v", violations, err)
			}
		})
	}
}
