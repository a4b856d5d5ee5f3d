// The thin layer between Python and the core: arrays of records in, arrays of records out, queries as plain tuples.
//
// Memory of events is handed to Python without a copy (buffer protocol) and comes back to the engine's spares when the
// last array over it is gone, so that a steady flow of batches touches no fresh pages.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <memory>
#include <mutex>

#include "lockstep/codes.hpp"
#include "lockstep/pages.hpp"
#include "lockstep/queries.hpp"

namespace nb = nanobind;
using namespace lockstep;

namespace {

// Event memory that no array uses at present. Arrays may die on any thread.
class Spares {
public:
    std::unique_ptr<EventBuffer> take() {
        const std::lock_guard lock(mutex_);
        if (free_.empty()) return std::make_unique<EventBuffer>();
        auto buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
    }
    void give_back(std::unique_ptr<EventBuffer> buffer) {
        buffer->clear();
        const std::lock_guard lock(mutex_);
        if (free_.size() < kKept) free_.push_back(std::move(buffer));
    }

private:
    static constexpr std::size_t kKept = 4;
    std::mutex mutex_;
    std::vector<std::unique_ptr<EventBuffer>> free_;
};

struct EventMemory {
    std::shared_ptr<Spares> spares;
    std::unique_ptr<EventBuffer> buffer;

    explicit EventMemory(std::shared_ptr<Spares> from) : spares(std::move(from)), buffer(spares->take()) {}
    EventMemory(EventMemory&&) = default;
    EventMemory(const EventMemory&) = delete;
    EventMemory& operator=(const EventMemory&) = delete;
    EventMemory& operator=(EventMemory&&) = delete;
    ~EventMemory() {
        if (buffer) spares->give_back(std::move(buffer));
    }
};

int get_event_buffer(PyObject* self, Py_buffer* view, int flags) {
    const EventMemory* memory = nb::inst_ptr<EventMemory>(nb::handle(self));
    void* data = const_cast<Event*>(memory->buffer->data());
    const auto size = static_cast<Py_ssize_t>(memory->buffer->size() * sizeof(Event));
    return PyBuffer_FillInfo(view, self, data, size, 1, flags);
}

// The commands of one batch, held for as long as the core reads them.
class CommandView {
public:
    explicit CommandView(nb::handle array) {
        if (PyObject_GetBuffer(array.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
    }
    CommandView(const CommandView&) = delete;
    CommandView& operator=(const CommandView&) = delete;
    ~CommandView() { PyBuffer_Release(&view_); }

    const void* data() const { return view_.buf; }
    std::size_t size() const { return static_cast<std::size_t>(view_.len); }

private:
    Py_buffer view_ = {};
};

class NativeCore {
public:
    explicit NativeCore(const Sizes& sizes) : engine(sizes) {}

    EventMemory apply(nb::handle commands, u64 first_seq, i64 timestamp_ns) {
        const CommandView view(commands);
        if (view.size() % sizeof(Command) != 0) throw nb::value_error("commands are records of 128 bytes");
        EventMemory memory(spares_);
        const std::size_t count = view.size() / sizeof(Command);
        const nb::gil_scoped_release unlocked;
        if (reinterpret_cast<std::uintptr_t>(view.data()) % alignof(Command) == 0) {
            engine.apply(static_cast<const Command*>(view.data()), count, first_seq, timestamp_ns, *memory.buffer);
        } else {
            std::vector<Command> aligned(count);
            std::memcpy(static_cast<void*>(aligned.data()), view.data(), view.size());
            engine.apply(aligned.data(), count, first_seq, timestamp_ns, *memory.buffer);
        }
        return memory;
    }

    Engine engine;

private:
    std::shared_ptr<Spares> spares_ = std::make_shared<Spares>();
};

nb::tuple order_tuple(const State& state, const Order& order) {
    return nb::make_tuple(order.order_id, order.client_order_id, state.accounts[order.account].account,
                          state.books[order.book].instrument, order.session_id, order.side, order.order_type, order.tif,
                          order.price, order.quantity, order.leaves, order.stop, order.display, order.shown);
}
nb::object order_tuple(const State& state, Handle at) {
    return at != kNone ? nb::object(order_tuple(state, state.orders[at])) : nb::object(nb::none());
}

nb::list open_orders(const State& state, u32 account) {
    nb::list found;
    const Handle owner = state.find_account(account);
    if (owner == kNone) return found;
    std::vector<std::pair<u64, Handle>> live;
    for (Handle at = state.accounts[owner].orders; at != kNone; at = state.links[at].account_next) {
        live.emplace_back(state.orders[at].order_id, at);
    }
    std::sort(live.begin(), live.end());
    for (const auto& [_, at] : live) found.append(order_tuple(state, at));
    return found;
}

nb::bytes name_bytes(const char (&name)[32]) {
    const std::string text = snapshot::text_of(name);
    return nb::bytes(text.data(), text.size());
}

// (account, name, flags, cash, reserved, status, [(instrument, lots, reserved, cost, realised)]) of each account.
nb::list accounts(const State& state, const std::vector<Handle>& chosen) {
    std::unordered_map<Handle, nb::list> held;
    for (const Handle at : chosen) held.emplace(at, nb::list());
    const auto by_instrument =
        snapshot::by_id(state.positions, [&](const Position& one) { return state.books[one.book].instrument; });
    for (const Handle at : by_instrument) {
        const Position& position = state.positions[at];
        if ((position.quantity | position.reserved | position.realised) == 0) continue;
        const auto owner = held.find(position.account);
        if (owner == held.end()) continue;
        owner->second.append(nb::make_tuple(state.books[position.book].instrument, position.quantity, position.reserved,
                                            position.cost, position.realised));
    }
    nb::list rows;
    for (const Handle at : chosen) {
        const Account& account = state.accounts[at];
        rows.append(nb::make_tuple(account.account, name_bytes(account.name), account.flags, account.cash,
                                   account.reserved, account.status, held.at(at)));
    }
    return rows;
}

nb::list instruments(const State& state) {
    nb::list rows;
    for (const Handle at : snapshot::by_id(state.books, [](const Book& one) { return one.instrument; })) {
        const Book& book = state.books[at];
        rows.append(nb::make_tuple(book.instrument, name_bytes(book.symbol), book.tick_micros, book.lot_units,
                                   book.phase, book.last));
    }
    return rows;
}

nb::tuple level_tuple(const queries::DepthLevel& level) {
    return nb::make_tuple(level.price_ticks, level.displayed_lots, level.displayed_orders);
}
nb::tuple depth_tuple(const queries::DepthLevel& level) {
    return nb::make_tuple(level.price_ticks, level.displayed_lots, level.displayed_orders, level.hidden_lots,
                          level.hidden_orders);
}

std::size_t count_of(i64 wanted) { return wanted > 0 ? static_cast<std::size_t>(wanted) : 0; }

// ([(price, lots, orders)] of the bids, of the asks), best first; None for an unknown instrument.
nb::object book_levels(const State& state, u32 instrument, i64 depth) {
    if (state.find_book(instrument) == kNone) return nb::none();
    nb::list halves[2];
    for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
        for (const auto& level : queries::book(state, instrument, side, count_of(depth))) {
            halves[side - 1].append(level_tuple(level));
        }
    }
    return nb::make_tuple(halves[0], halves[1]);
}

// The same with what is hidden: [(price, displayed lots, displayed orders, hidden lots, hidden orders)].
nb::object depth_levels(const State& state, u32 instrument, i64 depth) {
    if (state.find_book(instrument) == kNone) return nb::none();
    nb::list halves[2];
    for (const u8 side : {u8{side::BUY}, u8{side::SELL}}) {
        for (const auto& level : queries::depth(state, instrument, side, count_of(depth))) {
            halves[side - 1].append(depth_tuple(level));
        }
    }
    return nb::make_tuple(halves[0], halves[1]);
}

// (bid, ask), each None or (price, lots, orders); None for an unknown instrument.
nb::object best_levels(const State& state, u32 instrument) {
    if (state.find_book(instrument) == kNone) return nb::none();
    const queries::Best best = queries::best(state, instrument);
    const auto side = [](const std::optional<queries::DepthLevel>& level) {
        return level ? nb::object(level_tuple(*level)) : nb::object(nb::none());
    };
    return nb::make_tuple(side(best.bid), side(best.ask));
}

nb::list order_tuples(const State& state, const std::vector<const Order*>& orders) {
    nb::list rows;
    for (const Order* order : orders) rows.append(order_tuple(state, *order));
    return rows;
}

// ([orders], [hidden orders]) at a price; None for an unknown instrument.
nb::object queue_orders(const State& state, u32 instrument, u8 side, i64 price, i64 limit) {
    if (state.find_book(instrument) == kNone) return nb::none();
    const queries::Queue found = queries::queue(state, instrument, side, price, count_of(limit));
    return nb::make_tuple(order_tuples(state, found.orders), order_tuples(state, found.hidden));
}

nb::bytes bytes_of(const snapshot::Bytes& raw) { return nb::bytes(raw.data(), raw.size()); }

nb::tuple orders_tuple(const pages::Orders& page) {
    return nb::make_tuple(bytes_of(page.rows), page.account, page.after, page.more);
}

Sizes sizes_of(std::size_t orders, std::size_t levels, std::size_t accounts, std::size_t instruments,
               std::size_t sessions) {
    return {.orders = orders, .levels = levels, .accounts = accounts, .instruments = instruments, .sessions = sessions};
}

}  // namespace

NB_MODULE(_core, module) {
    // A process that froze the garbage collector ends with its engine alive; nanobind would call that a leak, in its log.
    nb::set_leak_warnings(false);
    module.doc() = "The native matching core. Use lockstep.engine.native.NativeEngine.";
    static PyType_Slot event_slots[] = {
        {Py_bf_getbuffer, reinterpret_cast<void*>(get_event_buffer)},
        {0, nullptr},
    };
    nb::class_<EventMemory>(module, "EventMemory", nb::type_slots(event_slots));
    nb::exception<snapshot::Error>(module, "SnapshotDamaged", PyExc_ValueError);
    module.attr("SCHEMA") = kSchema;
    nb::class_<NativeCore>(module, "NativeCore")
        .def(
            "__init__",
            [](NativeCore* self, std::size_t orders, std::size_t levels, std::size_t accounts, std::size_t instruments,
               std::size_t sessions) {
                new (self) NativeCore(sizes_of(orders, levels, accounts, instruments, sessions));
            },
            nb::arg("orders"), nb::arg("levels"), nb::arg("accounts"), nb::arg("instruments"), nb::arg("sessions"))
        .def("apply", &NativeCore::apply, nb::arg("commands"), nb::arg("first_seq"), nb::arg("timestamp_ns"))
        .def_prop_ro("last_seq", [](const NativeCore& self) { return self.engine.state().last_seq; })
        .def_prop_ro("last_timestamp_ns", [](const NativeCore& self) { return self.engine.state().last_timestamp_ns; })
        .def_prop_ro("fees_micros",
                     [](const NativeCore& self) {
                         const u128 fees = self.engine.state().fees;
                         return nb::make_tuple(static_cast<u64>(fees >> 64), static_cast<u64>(fees));
                     })
        .def("snapshot",
             [](const NativeCore& self) {
                 snapshot::Bytes raw;
                 {
                     const nb::gil_scoped_release unlocked;
                     raw = snapshot::encode(self.engine.state());
                 }
                 return nb::bytes(raw.data(), raw.size());
             })
        .def("restore",
             [](NativeCore& self, const nb::bytes& raw) {
                 const std::string_view view(raw.c_str(), raw.size());
                 const nb::gil_scoped_release unlocked;
                 snapshot::restore(self.engine, view);
             })
        .def("session_last_no",
             [](const NativeCore& self, u64 session) {
                 return queries::session_last_no(self.engine.state(), session);
             })
        .def("order", [](const NativeCore& self,
                         u64 order) { return order_tuple(self.engine.state(), self.engine.state().find_order(order)); })
        .def("order_by_client_id",
             [](const NativeCore& self, u32 account, u64 client_order) -> nb::object {
                 const State& state = self.engine.state();
                 const Handle owner = state.find_account(account);
                 if (owner == kNone) return nb::none();
                 return order_tuple(state, state.find_client_order(owner, client_order));
             })
        .def("open_orders",
             [](const NativeCore& self, u32 account) { return open_orders(self.engine.state(), account); })
        .def("account",
             [](const NativeCore& self, u32 account) {
                 const State& state = self.engine.state();
                 const Handle at = state.find_account(account);
                 return accounts(state, at != kNone ? std::vector<Handle>{at} : std::vector<Handle>{});
             })
        .def("accounts",
             [](const NativeCore& self) {
                 const State& state = self.engine.state();
                 return accounts(state,
                                 snapshot::by_id(state.accounts, [](const Account& one) { return one.account; }));
             })
        .def("instruments", [](const NativeCore& self) { return instruments(self.engine.state()); })
        .def("orders_page",
             [](NativeCore& self, u32 account, u64 after, std::size_t limit) {
                 return orders_tuple(pages::orders_of(self.engine.state(), account, after, limit));
             })
        .def("all_orders_page",
             [](NativeCore& self, u32 account, u64 after, std::size_t limit) {
                 return orders_tuple(pages::all_orders(self.engine.state(), account, after, limit));
             })
        .def("accounts_page",
             [](const NativeCore& self, u32 after, std::size_t limit, std::size_t max_positions) {
                 const auto page = pages::accounts_after(self.engine.state(), after, limit, max_positions);
                 return nb::make_tuple(bytes_of(page.rows), bytes_of(page.positions), page.after, page.more);
             })
        .def("instruments_page",
             [](const NativeCore& self, u32 after, std::size_t limit) {
                 const auto page = pages::instruments_after(self.engine.state(), after, limit);
                 return nb::make_tuple(bytes_of(page.rows), page.after, page.more);
             })
        .def("book",
             [](const NativeCore& self, u32 instrument, i64 depth) {
                 return book_levels(self.engine.state(), instrument, depth);
             })
        .def("depth",
             [](const NativeCore& self, u32 instrument, i64 depth) {
                 return depth_levels(self.engine.state(), instrument, depth);
             })
        .def("best",
             [](const NativeCore& self, u32 instrument) { return best_levels(self.engine.state(), instrument); })
        .def("queue", [](const NativeCore& self, u32 instrument, u8 side, i64 price, i64 limit) {
            return queue_orders(self.engine.state(), instrument, side, price, limit);
        });
}
