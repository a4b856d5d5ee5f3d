// The thin layer between Python and the codec: bytes in, bytes out.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "codec.hpp"

namespace nb = nanobind;
using namespace lockstep;

namespace {

// Memory of bytes or of an array, held for as long as it is read.
class View {
public:
    explicit View(nb::handle object) {
        if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
    }
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    ~View() { PyBuffer_Release(&view_); }

    const u8* data() const { return static_cast<const u8*>(view_.buf); }
    std::size_t size() const { return static_cast<std::size_t>(view_.len); }

private:
    Py_buffer view_ = {};
};

nb::bytes bytes_of(const void* data, std::size_t size) {
    return nb::bytes(static_cast<const char*>(data), size);
}

nb::tuple decode(ouch::Codec& self, nb::handle data, u64 next_no, std::size_t room, i64 now_ns) {
    const View view(data);
    const ouch::Read read = self.decode(view.data(), view.size(), next_no, room, now_ns);
    return nb::make_tuple(read.consumed, read.packets, static_cast<int>(read.halt),
                          bytes_of(read.commands.data(), read.commands.size() * sizeof(Command)));
}

nb::bytes encode(ouch::Codec& self, nb::handle rows, nb::handle legs, u64 emit_from) {
    const View events(rows), sides(legs);
    const std::size_t count = sides.size();
    if (events.size() != count * sizeof(Event)) throw nb::value_error("one leg for each event of 160 bytes");
    std::vector<Event> aligned;
    const Event* first = reinterpret_cast<const Event*>(events.data());
    if (reinterpret_cast<std::uintptr_t>(events.data()) % alignof(Event) != 0) {
        aligned.resize(count);
        std::memcpy(static_cast<void*>(aligned.data()), events.data(), events.size());
        first = aligned.data();
    }
    const std::string said = self.encode(first, sides.data(), count, emit_from);
    return bytes_of(said.data(), said.size());
}

}  // namespace

NB_MODULE(_codec, module) {
    nb::set_leak_warnings(false);
    module.doc() = "OUCH 4.2 over SoupBinTCP, natively. Use lockstep.edge.soup.native.";
    module.attr("SCHEMA") = kSchema;
    nb::class_<ouch::Instruments>(module, "Instruments")
        .def(nb::init<>())
        .def("__len__", &ouch::Instruments::size)
        .def(
            "define",
            [](ouch::Instruments& self, u32 id, const nb::bytes& name, i64 tick_micros, i64 units) {
                return self.define(id, std::string_view(name.c_str(), name.size()), tick_micros, units);
            },
            nb::arg("id"), nb::arg("name"), nb::arg("tick_micros"), nb::arg("units"));
    nb::class_<ouch::Codec>(module, "Codec")
        .def(
            "__init__",
            [](ouch::Codec* self, const ouch::Instruments& instruments, u64 session_id, u16 gateway, u32 account,
               std::vector<u32> accounts, u8 stp, std::size_t max_tokens, u64 seed) {
                new (self) ouch::Codec(instruments, {session_id, gateway, account, std::move(accounts), stp},
                                       max_tokens, seed);
            },
            nb::arg("instruments"), nb::kw_only(), nb::arg("session_id"), nb::arg("gateway"), nb::arg("account"),
            nb::arg("accounts"), nb::arg("stp"), nb::arg("max_tokens"), nb::arg("seed"), nb::keep_alive<1, 2>())
        .def_prop_ro("next_message", &ouch::Codec::next_message)
        .def_prop_ro("used", &ouch::Codec::used)
        .def_prop_ro("alive", &ouch::Codec::alive)
        .def("decode", &decode, nb::arg("data"), nb::arg("next_no"), nb::arg("room"), nb::arg("now_ns"))
        .def("encode", &encode, nb::arg("rows"), nb::arg("legs"), nb::arg("emit_from"));
}
