/** The table of library types: lines as printers.ts reads them. */
export const printerTable: string = `
# libstdc++
std::basic_string<*>        text      data=_M_dataplus._M_p length=_M_string_length
std::basic_string_view<*>   text      data=_M_str length=_M_len
std::vector<bool,*>         bits      first=_M_impl._M_start._M_p end=_M_impl._M_finish._M_p rest=_M_impl._M_finish._M_offset
std::vector<*>              sequence  first=_M_impl._M_start end=_M_impl._M_finish of=#0
std::array<*>               plain     value=_M_elems
std::deque<*>               blocks    start=_M_impl._M_start finish=_M_impl._M_finish of=#0
std::list<*>                list      first=_M_impl._M_node._M_next count=_M_impl._M_node._M_size next=0 value=16 of=#0 ordered=1
std::forward_list<*>        list      first=_M_impl._M_head._M_next next=0 value=8 of=#0 ordered=1
std::map<*>                 tree      first=_M_t._M_impl._M_header._M_left count=_M_t._M_impl._M_node_count left=16 right=24 parent=8 value=32 of=_M_t.#1 keyed=1
std::multimap<*>            tree      first=_M_t._M_impl._M_header._M_left count=_M_t._M_impl._M_node_count left=16 right=24 parent=8 value=32 of=_M_t.#1 keyed=1
std::set<*>                 tree      first=_M_t._M_impl._M_header._M_left count=_M_t._M_impl._M_node_count left=16 right=24 parent=8 value=32 of=#0
std::multiset<*>            tree      first=_M_t._M_impl._M_header._M_left count=_M_t._M_impl._M_node_count left=16 right=24 parent=8 value=32 of=#0
std::unordered_map<*>       list      first=_M_h._M_before_begin._M_nxt count=_M_h._M_element_count next=0 value=8 of=_M_h.#1 keyed=1
std::unordered_set<*>       list      first=_M_h._M_before_begin._M_nxt count=_M_h._M_element_count next=0 value=8 of=#0
std::unordered_multimap<*>  list      first=_M_h._M_before_begin._M_nxt count=_M_h._M_element_count next=0 value=8 of=_M_h.#1 keyed=1
std::unordered_multiset<*>  list      first=_M_h._M_before_begin._M_nxt count=_M_h._M_element_count next=0 value=8 of=#0
std::optional<*>            optional  engaged=_M_payload._M_engaged value=_M_payload._M_payload._M_value
std::variant<*>             variant   index=_M_index value=_M_u
std::pair<*>                tuple     member=first member=second
std::tuple<>                none
std::unique_ptr<*>          pointer   address=_M_t._M_t.:_Head_base<0._M_head_impl of=#0
std::shared_ptr<*>          pointer   address=_M_ptr of=#0
std::weak_ptr<*>            pointer   address=_M_ptr of=#0
std::function<*>            invoker   with=_M_invoker target=_M_functor._M_unused._M_function_pointer
std::chrono::duration<*>    plain     value=__r
std::chrono::time_point<*>  plain     value=__d.__r
std::atomic<*>              plain     value=_M_base._M_i|_M_b._M_p|_M_i
std::reference_wrapper<*>   pointer   address=_M_data of=#0
# libc++
std::basic_string<*>        shorttext data=16 length=8 check=__r_
std::basic_string_view<*>   text      data=__data_|__data length=__size_|__size
std::vector<bool,*>         bits      first=__begin_ count=__size_
std::vector<*>              sequence  first=__begin_ end=__end_ of=#0
std::array<*>               plain     value=__elems_
std::list<*>                list      first=__end_.__next_ count=__size_alloc_.__value_|__size_ next=8 value=16 of=#0 ordered=1
std::map<*>                 tree      first=__tree_.__begin_node_ count=__tree_.__pair3_.__value_|__tree_.__size_ left=0 right=8 parent=16 value=25 of=__tree_.#0 keyed=1
std::multimap<*>            tree      first=__tree_.__begin_node_ count=__tree_.__pair3_.__value_|__tree_.__size_ left=0 right=8 parent=16 value=25 of=__tree_.#0 keyed=1
std::set<*>                 tree      first=__tree_.__begin_node_ count=__tree_.__pair3_.__value_|__tree_.__size_ left=0 right=8 parent=16 value=25 of=#0
std::multiset<*>            tree      first=__tree_.__begin_node_ count=__tree_.__pair3_.__value_|__tree_.__size_ left=0 right=8 parent=16 value=25 of=#0
std::unordered_map<*>       list      first=__table_.__p1_.__value_.__next_|__table_.__first_node_.__next_ count=__table_.__p2_.__value_|__table_.__size_ next=0 value=16 of=__table_.#0 keyed=1
std::unordered_set<*>       list      first=__table_.__p1_.__value_.__next_|__table_.__first_node_.__next_ count=__table_.__p2_.__value_|__table_.__size_ next=0 value=16 of=#0
std::forward_list<*>        list      first=__before_begin_.__value_.__next_|__before_begin_.__next_ next=0 value=8 of=#0 ordered=1
std::deque<*>               ring      row=__map_.__begin_ first=__start_ count=__size_.__value_|__size_ of=#0
std::optional<*>            optional  engaged=__engaged_ value=__val_
std::variant<*>             variant   index=__impl.__index|__impl_.__index value=__impl.__data|__impl_.__data
std::unique_ptr<*>          pointer   address=__ptr_.__value_|__ptr_ of=#0
std::shared_ptr<*>          pointer   address=__ptr_ of=#0
std::weak_ptr<*>            pointer   address=__ptr_ of=#0
std::function<*>            callee    with=__f_.__f_
std::chrono::duration<*>    plain     value=__rep_
std::chrono::time_point<*>  plain     value=__d_.__rep_
std::atomic<*>              plain     value=__a_.__a_value
std::__value_type<*>        plain     value=__cc_|__cc
std::__hash_value_type<*>   plain     value=__cc_|__cc
# Abseil
absl::string_view           text      data=ptr_ length=length_
absl::InlinedVector<*>      sequence  first=storage_.data_.allocated.allocated_data count=storage_.metadata_>>1 inside=storage_.data_.inlined tag=storage_.metadata_ of=#0
absl::flat_hash_map<*>      slots     control=ctrl_ slots=slots_ capacity=capacity_ count=size_ of=*slots_ keyed=1
absl::flat_hash_map<*>      slots     check=settings_.value.compressed_tuple_ control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_ of=#0,#1 keyed=1
absl::flat_hash_map<*>      slots     control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_>>1 of=#0,#1 keyed=1
absl::flat_hash_map<*>      slots     control=settings_.value.heap_or_soo_.heap.control slots=settings_.value.heap_or_soo_.heap.slot_array capacity=settings_.value.capacity_ count=settings_.value.size_>>1 inside=settings_.value.heap_or_soo_.soo_data of=#0,#1 keyed=1
absl::flat_hash_set<*>      slots     control=ctrl_ slots=slots_ capacity=capacity_ count=size_ of=*slots_
absl::flat_hash_set<*>      slots     check=settings_.value.compressed_tuple_ control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_ of=#0
absl::flat_hash_set<*>      slots     control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_>>1 of=#0
absl::flat_hash_set<*>      slots     control=settings_.value.heap_or_soo_.heap.control slots=settings_.value.heap_or_soo_.heap.slot_array capacity=settings_.value.capacity_ count=settings_.value.size_>>1 inside=settings_.value.heap_or_soo_.soo_data of=#0
absl::node_hash_map<*>      slots     control=ctrl_ slots=slots_ capacity=capacity_ count=size_ of=*slots_ pointed=1 keyed=1
absl::node_hash_map<*>      slots     check=settings_.value.compressed_tuple_ control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_ of=#0,#1 pointed=1 keyed=1
absl::node_hash_map<*>      slots     control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_>>1 of=#0,#1 pointed=1 keyed=1
absl::node_hash_map<*>      slots     control=settings_.value.heap_or_soo_.heap.control slots=settings_.value.heap_or_soo_.heap.slot_array capacity=settings_.value.capacity_ count=settings_.value.size_>>1 inside=settings_.value.heap_or_soo_.soo_data of=#0,#1 pointed=1 keyed=1
absl::node_hash_set<*>      slots     control=ctrl_ slots=slots_ capacity=capacity_ count=size_ of=*slots_ pointed=1
absl::node_hash_set<*>      slots     check=settings_.value.compressed_tuple_ control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_ of=#0 pointed=1
absl::node_hash_set<*>      slots     control=settings_.value.control_ slots=settings_.value.slots_ capacity=settings_.value.capacity_ count=settings_.value.size_>>1 of=#0 pointed=1
absl::node_hash_set<*>      slots     control=settings_.value.heap_or_soo_.heap.control slots=settings_.value.heap_or_soo_.heap.slot_array capacity=settings_.value.capacity_ count=settings_.value.size_>>1 inside=settings_.value.heap_or_soo_.soo_data of=#0 pointed=1
absl::container_internal::map_slot_type<*>  plain  value=value
absl::Status                status    value=rep_
absl::StatusOr<*>           statusor  status=status_ value=data_
# Rust
&str                        text      data=data_ptr length=length
&mut str                    text      data=data_ptr length=length
alloc::string::String       text      data=vec.buf.inner.ptr.pointer.pointer|vec.buf.ptr.pointer.pointer length=vec.len
alloc::vec::Vec<*>          sequence  first=buf.inner.ptr.pointer.pointer|buf.ptr.pointer.pointer count=len of=#0
&[*]                        sequence  first=data_ptr count=length of=*data_ptr
&mut [*]                    sequence  first=data_ptr count=length of=*data_ptr
alloc::boxed::Box<str*>     text      data=data_ptr length=length
alloc::boxed::Box<[*]*>     sequence  first=data_ptr count=length of=*data_ptr
alloc::boxed::Box<*>        pointer   address=ptr of=*ptr
std::collections::hash::map::HashMap<*>  plain  value=base
std::collections::hash::set::HashSet<*>  plain  value=base
hashbrown::map::HashMap<*>  slots     control=table.table.ctrl.pointer capacity=table.table.bucket_mask+1 count=table.table.items of=table.#0 down=1 keyed=1
hashbrown::set::HashSet<*>  slots     control=map.table.table.ctrl.pointer capacity=map.table.table.bucket_mask+1 count=map.table.table.items of=#0 down=1
core::cell::RefCell<*>      plain     value=value.value
core::cell::Cell<*>         plain     value=value.value
alloc::rc::RcInner<*>       plain     value=value
alloc::rc::RcBox<*>         plain     value=value
alloc::sync::ArcInner<*>    plain     value=data
alloc::rc::Rc<*>            pointer   address=ptr.pointer of=*ptr.pointer
alloc::sync::Arc<*>         pointer   address=ptr.pointer of=*ptr.pointer
# Go
string                      text      data=str length=len
map[*                       pointer   address=ptr of=*ptr
map<*>                      groups    directory=dirPtr tables=dirLen count=used
hash<*>                     buckets   first=buckets old=oldbuckets order=B flags=flags count=count
[]*                         sequence  first=array count=len of=*array
`;
